"""The pocket world: captioned pictures of one or two emoji objects, drawn from a written spec.

One picture: ``python -m recipes.pocket.world --spec SPEC.json --out x.png``

A picture says everything that a drawing depends on, so that the same thing (object and look) can be drawn again in any
other scene. Objects are the emoji of the Debian package ``fonts-noto-color-emoji`` (SIL OFL 1.1), recoloured; the hue
is continuous, sizes, places and pattern scales are of a few steps: what has so few outlines can be learnt sharply.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recipes.pocket.scenes import GROUND, SCENES, STYLES, apply_style, draw_scene
from recipes.pocket.sprites import EMBLEMS, LOOKS, OBJECTS, PATTERNS, SPRITE, TONES, Colour, paint, sprite

HUES = {
    "red": 0.0, "orange": 28.0, "yellow": 52.0, "green": 115.0,
    "teal": 175.0, "blue": 220.0, "purple": 275.0, "pink": 325.0,
}  # fmt: skip
"""Named hue -> degrees."""
COLOURS = (*HUES, *TONES)
SIZE = 128  # the model's picture side, in pixels
SIZES = (0.35, 0.4775, 0.605, 0.7325, 0.86)
"""Of an object's longer side, as fractions of the picture."""
PLACES = 8  # steps of an object's centre across the picture, and down it: a cell of the latents each
SCALES = {**dict.fromkeys(PATTERNS, (0.19, 0.24, 0.30, 0.36)), "two-tone": (0.42, 0.50, 0.58, 0.65)}
"""Look -> its scales, where one can be seen: a pattern's period as a fraction of the object's drawing; how much of it
the upper part of what is two-tone is."""


@dataclass(frozen=True)
class Thing:
    """An object, its look and its place.

    ``colour`` and ``second`` are hues in degrees or "black" / "white". ``look`` says what the second colour does:
    "plain" (nothing), a pattern of ``PATTERNS``, "two-tone" (the lower part) or an emblem of ``EMBLEMS``. ``scale`` is
    the pattern's period, or the share of the two-tone's upper part. ``size`` is the object's longer side;
    ``x`` and ``y`` its centre, all as fractions of the picture.
    """

    object: str
    colour: Colour
    look: str = "plain"
    second: Colour = "white"
    scale: float = 0.25
    size: float = SIZES[3]
    x: float = 0.5
    y: float = 0.5

    def __post_init__(self) -> None:
        _check("object", self.object, OBJECTS)
        _check("look", self.look, LOOKS)
        for field in ("colour", "second"):
            value = getattr(self, field)
            if isinstance(value, str) and value not in TONES:
                raise ValueError(f"{field} {value!r} must be a hue in degrees, 'black' or 'white'")

    def moved(self, **changes: Any) -> Thing:
        """The same concept elsewhere: a copy with another size or place."""
        return dataclasses.replace(self, **changes)

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of its drawing, as fractions of the picture."""
        shape = sprite(self.object)
        k = self.size / 2 / max(shape.width, shape.height)
        across, down = k * shape.width, k * shape.height
        return self.x - across, self.y - down, self.x + across, self.y + down


@dataclass(frozen=True)
class Picture:
    """Everything a drawing depends on: one or two things, in a scene and a style."""

    things: tuple[Thing, ...]
    scene: str = "white"
    scene_seed: int = 0
    style: str = "photo"

    def __post_init__(self) -> None:
        _check("scene", self.scene, SCENES)
        _check("style", self.style, STYLES)

    def moved(self, **changes: Any) -> Picture:
        """The same things in another scene or style."""
        return dataclasses.replace(self, **changes)


def _check(field: str, value: object, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"{field} {value!r} is unknown; choose from {', '.join(map(str, choices))}")


def colour_name(colour: Colour) -> str:
    """The nearest of the ten colour words."""
    if isinstance(colour, str):
        return colour
    return min(HUES, key=lambda name: hue_distance(HUES[name], colour))


def hue_distance(a: float, b: float) -> float:
    """Degrees between two hues, in [0, 180]."""
    return abs((a - b + 180) % 360 - 180)


def describe(thing: Thing) -> str:
    """The object and its look, not the scene: "red and white striped mug" (no article)."""
    colour, second = colour_name(thing.colour), colour_name(thing.second)
    if thing.look in PATTERNS:
        return f"{colour} and {second} {thing.look} {thing.object}"
    if thing.look == "two-tone":
        return f"{colour} {thing.object} with {article(second)} base"
    if thing.look in EMBLEMS:
        return f"{colour} {thing.object} with {article(second)} {thing.look}"
    return f"{colour} {thing.object}"


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def caption(picture: Picture) -> str:
    """The full caption: style, each object with its look, and scene."""
    phrases = " and ".join(article(describe(thing)) for thing in picture.things)
    return f"{STYLES[picture.style]} {phrases} {SCENES[picture.scene]}"


def _place(thing: Thing, size: int) -> tuple[NDArray[Any], tuple[slice, slice]]:
    """The thing as premultiplied RGBA in [0, 1], and the part of a picture of ``size`` pixels that it covers."""
    left, top, right, bottom = (edge * size for edge in thing.box())
    x0, y0 = max(0, math.floor(left) - 1), max(0, math.floor(top) - 1)
    x1, y1 = min(size, math.ceil(right) + 1), min(size, math.ceil(bottom) + 1)
    if x0 >= x1 or y0 >= y1:
        return np.zeros((0, 0, 4), np.float32), (slice(0), slice(0))
    look = (thing.object, thing.colour, thing.look, thing.second, thing.scale)
    # Image.transform wants the inverse map: from a pixel, drawn at twice the size, to a pixel of the sprite.
    shape = sprite(thing.object)
    k = SPRITE * max(shape.width, shape.height) / (thing.size * 2 * size)
    cx, cy = 2 * (thing.x * size - x0), 2 * (thing.y * size - y0)
    inverse = (k, 0, SPRITE / 2 - k * cx, 0, k, SPRITE / 2 - k * cy)
    bands = [
        band.transform((2 * (x1 - x0), 2 * (y1 - y0)), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)
        for band in paint(*look).split()
    ]
    placed = np.stack([np.asarray(band.reduce(2)) for band in bands], -1)
    return placed.astype(np.float32) / 255, (slice(y0, y1), slice(x0, x1))


def draw(picture: Picture, size: int = SIZE) -> Image.Image:
    """Draw a picture, RGB, of ``size`` pixels a side; what stands lower stands in front."""
    pixels = draw_scene(picture.scene, picture.scene_seed, size).copy()
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    for thing in sorted(picture.things, key=lambda thing: thing.box()[3]):
        placed, part = _place(thing, size)
        if picture.scene in GROUND:
            left, _, right, foot = thing.box()
            across = np.exp(-(((axis - (left + right) / 2) / (0.42 * (right - left))) ** 2))
            down = np.exp(-(((axis - foot + 0.012) / (0.02 + 0.025 * thing.size)) ** 2))
            pixels *= 1 - 0.5 * down[:, None, None] * across[None, :, None]
        alpha = placed[..., 3:]
        pixels[part] = pixels[part] * (1 - alpha) + placed[..., :3]
    return Image.fromarray((np.clip(apply_style(pixels, picture.style), 0, 1) * 255 + 0.5).astype(np.uint8))


def masks(picture: Picture, size: int = SIZE) -> NDArray[Any]:
    """Each thing's true mask, boolean (things, size, size): where it is seen and covers at least half of a pixel."""
    seen = np.zeros((len(picture.things), size, size), np.float32)
    for number in sorted(range(len(seen)), key=lambda i: picture.things[i].box()[3]):
        placed, part = _place(picture.things[number], size)
        seen[(slice(None), *part)] *= 1 - placed[..., 3]
        seen[(number, *part)] = placed[..., 3]
    return seen >= 0.5


def cut_out(thing: Thing, size: int = SIZE) -> Image.Image:
    """The thing alone on pure white, as a click's cut-out looks."""
    pixels = np.ones((size, size, 3), np.float32)
    placed, part = _place(thing, size)
    pixels[part] = 1 - placed[..., 3:] + placed[..., :3]
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def read_picture(fields: Any) -> Picture:
    """A picture from the fields of its JSON. Raises ValueError that says which field is wrong."""
    try:
        things = tuple(Thing(**_known(Thing, thing)) for thing in fields["things"])
        return Picture(**{**_known(Picture, fields), "things": things})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not the spec of a picture: {error}") from error


def _known(kind: type, fields: dict[str, Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; the fields are {', '.join(names)}")
    return fields


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw one picture of the pocket world from a spec.")
    parser.add_argument("--spec", type=Path, required=True, help="JSON file with the fields of Picture")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--size", type=int, default=256, help="side in pixels (default: 256)")
    args = parser.parse_args()
    try:
        draw(read_picture(json.loads(args.spec.read_text())), args.size).save(args.out)
    except (ValueError, OSError) as error:
        print(f"error: {args.spec}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
