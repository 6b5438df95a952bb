"""The pocket world: captioned pictures of emoji objects, drawn from a written spec.

One picture: ``python -m recipes.pocket.world --spec SPEC.json --out x.png``

A spec says everything that a drawing depends on, so that the same concept (object and look) can be
drawn again in any other scene. Objects are the emoji of the Debian package
``fonts-noto-color-emoji`` (SIL OFL 1.1), recoloured; hue, pattern scale, place, size and tilt are continuous.
"""

from __future__ import annotations

import argparse
import colorsys
import dataclasses
import functools
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from recipes.pocket.scenes import SCENES, STYLES, apply_style, draw_scene

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FONT_HELP = "the emoji font is missing: apt-get install fonts-noto-color-emoji"

OBJECTS = {
    "mug": "☕", "cup": "🥤", "sunglasses": "🕶", "backpack": "🎒", "sneaker": "👟",
    "teddy bear": "🧸", "bird": "🐦", "racing car": "🏎", "maracas": "🪇", "clock": "🕰",
    "teapot": "🫖", "elephant": "🐘", "flute": "🪈", "cat": "🐱", "frog": "🐸", "owl": "🦉",
    "penguin": "🐧", "fish": "🐟", "butterfly": "🦋", "whale": "🐳", "cactus": "🌵",
    "mushroom": "🍄", "apple": "🍎", "umbrella": "☂", "hat": "🎩", "shirt": "👕", "dress": "👗",
    "guitar": "🎸", "camera": "📷", "chair": "🪑", "rocket": "🚀", "balloon": "🎈", "bell": "🔔",
    "house": "🏠", "boat": "⛵", "gift": "🎁", "crown": "👑", "pumpkin": "🎃", "vase": "🏺",
    "trophy": "🏆",
}  # fmt: skip
"""Object name -> its emoji. The first twelve stand for the classes of the paper's Table A.1."""

HUES = {
    "red": 0.0, "orange": 28.0, "yellow": 52.0, "green": 115.0,
    "teal": 175.0, "blue": 220.0, "purple": 275.0, "pink": 325.0,
}  # fmt: skip
"""Named hue -> degrees."""
TONES = {"black": (0.13, 0.13, 0.15), "white": (0.95, 0.95, 0.95)}
COLOURS = (*HUES, *TONES)
PATTERNS = ("striped", "dotted", "checkered")
EMBLEMS = ("star", "heart", "square")
PATTERN_SCALES = (0.17, 0.36)
"""Period of a pattern as a fraction of the object's drawing, smallest and largest."""

SPRITE = 112  # side of the recoloured object before it is placed, in pixels
Colour = float | str  # a hue in degrees, or "black" or "white"


@dataclass(frozen=True)
class Spec:
    """Everything a drawing depends on.

    ``colour`` and ``second`` are hues in degrees or "black" / "white". ``look`` says what the second
    colour does: "plain" (nothing), a pattern of ``PATTERNS``, "two-tone" (the lower part) or an emblem
    of ``EMBLEMS``. ``scale`` is the pattern's period, or the share of the two-tone's upper part.
    ``size`` is the object's longer side; ``x`` and ``y`` its centre, all as fractions of the picture;
    ``tilt`` is in degrees.
    """

    object: str
    colour: Colour
    look: str = "plain"
    second: Colour = "white"
    scale: float = 0.25
    size: float = 0.78
    x: float = 0.5
    y: float = 0.52
    tilt: float = 0.0
    scene: str = "white"
    scene_seed: int = 0
    style: str = "photo"

    def __post_init__(self) -> None:
        known: list[tuple[str, object, tuple[object, ...]]] = [
            ("object", self.object, tuple(OBJECTS)),
            ("look", self.look, ("plain", *PATTERNS, "two-tone", *EMBLEMS)),
            ("scene", self.scene, tuple(SCENES)),
            ("style", self.style, tuple(STYLES)),
        ]
        for field, value, choices in known:
            if value not in choices:
                raise ValueError(f"{field} {value!r} is unknown; choose from {', '.join(map(str, choices))}")
        for field in ("colour", "second"):
            value = getattr(self, field)
            if isinstance(value, str) and value not in TONES:
                raise ValueError(f"{field} {value!r} must be a hue in degrees, 'black' or 'white'")

    def moved(self, **changes: Any) -> Spec:
        """The same concept elsewhere: a copy with other scene, place, tilt or style."""
        return dataclasses.replace(self, **changes)


def colour_name(colour: Colour) -> str:
    """The nearest of the ten colour words."""
    if isinstance(colour, str):
        return colour
    return min(HUES, key=lambda name: hue_distance(HUES[name], colour))


def hue_distance(a: float, b: float) -> float:
    """Degrees between two hues, in [0, 180]."""
    return abs((a - b + 180) % 360 - 180)


def describe(spec: Spec) -> str:
    """The object and its look, not the scene: "red and white striped mug" (no article)."""
    colour, second = colour_name(spec.colour), colour_name(spec.second)
    if spec.look in PATTERNS:
        return f"{colour} and {second} {spec.look} {spec.object}"
    if spec.look == "two-tone":
        return f"{colour} {spec.object} with {article(second)} base"
    if spec.look in EMBLEMS:
        return f"{colour} {spec.object} with {article(second)} {spec.look}"
    return f"{colour} {spec.object}"


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def caption(spec: Spec) -> str:
    """The full caption: style, object, look and scene."""
    return f"{STYLES[spec.style]} {article(describe(spec))} {SCENES[spec.scene]}"


def random_spec(rng: np.random.Generator, **fixed: Any) -> Spec:
    """A random instance in a random scene; ``fixed`` fields are kept as given."""

    def colour(tones: float) -> Colour:
        if rng.random() < tones:
            return str(rng.choice(list(TONES)))
        if rng.random() < 0.35:  # the hues between the words are part of the world too
            return float(rng.uniform(0, 360))
        return float((HUES[str(rng.choice(list(HUES)))] + rng.normal(0, 6)) % 360)

    main = colour(0.2)
    second = colour(0.4)
    while colour_name(second) == colour_name(main):
        second = colour(0.4)
    looks = ("plain", *PATTERNS, "two-tone", *EMBLEMS)
    weights = (0.40, 0.14, 0.14, 0.14, 0.09, 0.03, 0.03, 0.03)
    look = str(rng.choice(looks, p=weights))
    scale = rng.uniform(0.42, 0.65) if look == "two-tone" else rng.uniform(*PATTERN_SCALES)
    drawn: dict[str, Any] = {
        "object": str(rng.choice(list(OBJECTS))),
        "colour": main,
        "look": look,
        "second": second,
        "scale": float(scale),
        "size": float(rng.uniform(0.70, 0.86)),
        "x": float(rng.uniform(0.46, 0.54)),
        "y": float(rng.uniform(0.50, 0.55)),
        "tilt": float(rng.uniform(-8, 8)),
        "scene": str(rng.choice(list(SCENES))),
        "scene_seed": int(rng.integers(24)),
        "style": str(rng.choice(list(STYLES), p=(0.82, 0.06, 0.06, 0.06))),
    }
    return Spec(**(drawn | fixed))


@functools.lru_cache(maxsize=64)
def _sprite(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """An emoji as (tone, alpha), each (SPRITE, SPRITE) in [0, 1]; a tone of 0.5 takes the object's colour."""
    if not FONT.exists():
        raise FileNotFoundError(FONT_HELP)
    font = ImageFont.truetype(str(FONT), 109)
    image = Image.new("RGBA", (150, 140))
    ImageDraw.Draw(image).text((4, 4), OBJECTS[name], font=font, embedded_color=True)
    image = image.crop(image.getbbox())
    ratio = SPRITE / max(image.size)
    image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)
    square = Image.new("RGBA", (SPRITE, SPRITE))
    square.paste(image, ((SPRITE - image.width) // 2, (SPRITE - image.height) // 2))
    pixels = np.asarray(square, np.float32) / 255
    light = pixels[..., :3] @ np.array([0.30, 0.55, 0.15], np.float32)
    alpha = pixels[..., 3]
    middle = float(np.median(light[alpha > 0.9]))
    middle = min(max(middle, 0.25), 0.80)
    below = 0.5 * light / middle
    above = 0.5 + 0.5 * (light - middle) / (1 - middle)
    return np.where(light < middle, below, above).astype(np.float32), alpha


def rgb(colour: Colour) -> NDArray[Any]:
    """A hue or tone as RGB in [0, 1], (3,)."""
    if isinstance(colour, str):
        return np.array(TONES[colour], np.float32)
    return np.array(colorsys.hsv_to_rgb(colour % 360 / 360, 0.86, 0.93), np.float32)


@functools.lru_cache(maxsize=8)
def _grid() -> tuple[NDArray[Any], NDArray[Any]]:
    axis = (np.arange(SPRITE, dtype=np.float32) + 0.5) / SPRITE
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def _second_colour_mask(spec: Spec, alpha: NDArray[Any]) -> NDArray[Any]:
    """Where the second colour goes on the sprite, (SPRITE, SPRITE)."""
    x, y = _grid()
    if spec.look == "striped":
        return ((x * 0.87 + y * 0.5) / spec.scale) % 1 < 0.5
    if spec.look == "checkered":
        return (np.floor(x / spec.scale * 2) + np.floor(y / spec.scale * 2)) % 2 == 0
    if spec.look == "dotted":
        row = np.floor(y / spec.scale)
        dx = (x / spec.scale + 0.5 * (row % 2)) % 1 - 0.5
        dy = (y / spec.scale) % 1 - 0.5
        return dx**2 + dy**2 < 0.33**2
    rows = np.flatnonzero(alpha.max(1) > 0.5)
    top, bottom = rows[0] / SPRITE, (rows[-1] + 1) / SPRITE
    if spec.look == "two-tone":
        return y > top + (bottom - top) * spec.scale
    mass = alpha.sum()
    u, v = (x - (x * alpha).sum() / mass) / 0.19, (y - (y * alpha).sum() / mass) / 0.19
    if spec.look == "square":
        return np.maximum(abs(u), abs(v)) < 0.8
    if spec.look == "heart":
        return (u**2 + (-v + 0.2) ** 2 - 0.6) ** 3 - u**2 * (-v + 0.2) ** 3 < 0
    if spec.look == "star":
        angle = np.arctan2(u, -v)
        wedge = abs((angle / (2 * math.pi / 5) + 0.5) % 1 - 0.5) * 2
        return np.hypot(u, v) < 1.15 - 0.7 * wedge
    return np.zeros_like(x, dtype=bool)


def _paint(spec: Spec) -> Image.Image:
    """The recoloured object, (SPRITE, SPRITE) RGBA."""
    tone, alpha = _sprite(spec.object)
    mask = _second_colour_mask(spec, alpha)
    base = np.where(mask[..., None], rgb(spec.second), rgb(spec.colour))
    t = tone[..., None]
    shaded = np.where(t < 0.5, base * (0.30 + 1.4 * t), base + (1 - base) * 0.75 * (2 * t - 1))
    rgba = np.concatenate([shaded, alpha[..., None]], -1)
    return Image.fromarray((np.clip(rgba, 0, 1) * 255).astype(np.uint8))


def object_alpha(spec: Spec, size: int = 128) -> NDArray[Any]:
    """The object's mask in the picture, (size, size) in [0, 1]."""
    return np.asarray(_place(_paint(spec), spec, size), np.float32)[..., 3] / 255


def _place(sprite: Image.Image, spec: Spec, size: int) -> Image.Image:
    # Image.transform wants the inverse map: from a pixel of the picture to a pixel of the sprite.
    k = SPRITE / (spec.size * size)
    cos, sin = math.cos(math.radians(spec.tilt)) * k, math.sin(math.radians(spec.tilt)) * k
    cx, cy = spec.x * size, spec.y * size
    inverse = (cos, sin, SPRITE / 2 - cos * cx - sin * cy, -sin, cos, SPRITE / 2 + sin * cx - cos * cy)
    return sprite.transform((size, size), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)


def draw(spec: Spec, size: int = 128) -> Image.Image:
    """Draw a spec as an RGB picture of ``size`` pixels a side."""
    picture = draw_scene(spec.scene, spec.scene_seed, size).copy()
    placed = np.asarray(_place(_paint(spec), spec, size), np.float32) / 255
    alpha = placed[..., 3:]
    rows = np.flatnonzero(alpha[..., 0].max(1) > 0.5)
    foot = (rows[-1] + 1) / size if len(rows) else 0.9
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    shadow = np.exp(-(((axis[None, :] - spec.x) / (0.33 * spec.size)) ** 2) - ((axis[:, None] - foot) / 0.035) ** 2)
    picture *= 1 - 0.45 * shadow[..., None]
    picture = picture * (1 - alpha) + placed[..., :3] * alpha
    return Image.fromarray((apply_style(picture, spec.style) * 255 + 0.5).astype(np.uint8))


def cut_out(spec: Spec, size: int = 128) -> Image.Image:
    """The object alone on pure white, as a click's cut-out looks."""
    placed = _place(_paint(spec), spec, size)
    white = Image.new("RGBA", placed.size, "white")
    white.alpha_composite(placed)
    return white.convert("RGB")


def read_spec(path: Path) -> Spec:
    """Read a spec from JSON. Raises ValueError that says which field is wrong."""
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable JSON spec: {error}") from error
    names = {field.name for field in dataclasses.fields(Spec)}
    unknown = set(fields) - names
    if unknown:
        raise ValueError(f"{path}: unknown field {sorted(unknown)[0]!r}; the fields are {', '.join(sorted(names))}")
    try:
        return Spec(**fields)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw one picture of the pocket world from a spec.")
    parser.add_argument("--spec", type=Path, required=True, help="JSON file with the fields of Spec")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--size", type=int, default=256, help="side in pixels (default: 256)")
    args = parser.parse_args()
    try:
        draw(read_spec(args.spec), args.size).save(args.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
