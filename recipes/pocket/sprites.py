"""The objects of the pocket world: emoji of one font, recoloured, patterned and shaded.

An object is painted once, flat on (``paint``), as a premultiplied RGBA picture of ``SPRITE`` pixels; ``world`` places
it.
"""

from __future__ import annotations

import colorsys
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

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

PATTERNS = ("striped", "dotted", "checkered")
EMBLEMS = ("star", "heart", "square")
LOOKS = ("plain", *PATTERNS, "two-tone", *EMBLEMS)
TONES = {"black": (0.11, 0.11, 0.12), "white": (0.94, 0.94, 0.95)}
RAMPS = {
    "black": ((0.02, 0.02, 0.03), TONES["black"], (0.40, 0.40, 0.43)),
    "white": ((0.50, 0.52, 0.56), TONES["white"], (1.0, 1.0, 1.0)),
}
"""The darkest, middle and lightest of a black and a white object: both keep their detail and their name."""

SPRITE = 128  # side of the painted object in pixels; the font's own drawings have about that size
FILLED = 0.33  # the share of the object that a pattern's second colour covers: one sees which colour is the main one
Colour = float | str  # a hue in degrees, or "black" or "white"
Field = NDArray[Any]  # (SPRITE, SPRITE), float32


@dataclass(frozen=True)
class Sprite:
    """An emoji ready to be recoloured.

    ``tone`` (0.5 takes the object's colour, below is darker), ``alpha`` and ``rim`` (1 at the outline) are in [0, 1],
    ``light`` (the slope towards the upper left) in [-1, 1]. ``width`` and ``height`` are the drawing's sides and
    (``x``, ``y``), ``radius`` its roomiest circle, all as fractions of SPRITE.
    """

    tone: Field
    alpha: Field
    rim: Field
    light: Field
    width: float
    height: float
    x: float
    y: float
    radius: float


@functools.lru_cache(maxsize=64)
def sprite(name: str) -> Sprite:
    """Read an emoji from the font. Raises FileNotFoundError without the font, KeyError for an unknown name."""
    if not FONT.exists():
        raise FileNotFoundError(FONT_HELP)
    font = ImageFont.truetype(str(FONT), 109)
    image = Image.new("RGBA", (150, 140))
    ImageDraw.Draw(image).text((4, 4), OBJECTS[name], font=font, embedded_color=True)
    if image.getbbox() is None:  # flute and maracas are of Unicode 15
        raise FileNotFoundError(f"{FONT} is too old: it has no {name}; install a newer one")
    image = image.crop(image.getbbox())
    ratio = (SPRITE - 4) / max(image.size)  # two pixels of air, so that the outline is smooth
    width, height = round(image.width * ratio), round(image.height * ratio)
    square = Image.new("RGBA", (SPRITE, SPRITE))
    square.paste(
        image.resize((width, height), Image.Resampling.BICUBIC), ((SPRITE - width) // 2, (SPRITE - height) // 2)
    )
    pixels = np.asarray(square, np.float32) / 255
    luminance = pixels[..., :3] @ np.array([0.30, 0.55, 0.15], np.float32)
    alpha = pixels[..., 3]
    middle = min(max(float(np.median(luminance[alpha > 0.9])), 0.25), 0.80)
    below, above = 0.5 * luminance / middle, 0.5 + 0.5 * (luminance - middle) / (1 - middle)
    tone = np.where(luminance < middle, below, above).astype(np.float32)
    rim = np.clip(2.2 * (1 - ndimage.gaussian_filter(alpha, 2.0)) - 0.25, 0, 1)
    body = ndimage.gaussian_filter(alpha, 9.0)
    light = np.clip((np.gradient(body, axis=0) + np.gradient(body, axis=1)) * 16, -1, 1)
    room = ndimage.distance_transform_edt(np.pad(alpha > 0.5, 1))[1:-1, 1:-1]
    # Of equally roomy places the one nearest to the middle.
    y, x = np.unravel_index(np.argmax(ndimage.gaussian_filter(room, 2.0)), room.shape)
    sizes = (width / SPRITE, height / SPRITE, (x + 0.5) / SPRITE, (y + 0.5) / SPRITE, float(room.max()) / SPRITE)
    return Sprite(tone, alpha, rim, light, *sizes)


def _ramp(colour: Colour) -> NDArray[Any]:
    """The colour's dark, middle and light RGB, (3, 3)."""
    if isinstance(colour, str):
        return np.array(RAMPS[colour], np.float32)
    middle = np.array(colorsys.hsv_to_rgb(colour % 360 / 360, 0.86, 0.93), np.float32)
    return np.stack([0.30 * middle, middle, middle + 0.72 * (1 - middle)])


@functools.lru_cache(maxsize=1)
def _grid() -> tuple[Field, Field]:
    axis = (np.arange(SPRITE, dtype=np.float32) + 0.5) / SPRITE
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def _inside(distance: Field) -> Field:
    """1 where a signed distance (fractions of SPRITE) is below 0, with an edge one pixel soft."""
    return np.clip(0.5 - distance * SPRITE, 0, 1)


def _bands(position: Field, period: float, share: float) -> Field:
    """Bands across ``position`` that cover ``share`` of it, with soft edges."""
    return _inside((np.abs(position / period % 1 - 0.5) - share / 2) * period)


def _pattern(look: str, period: float) -> Field:
    """Where a pattern's second colour goes, (SPRITE, SPRITE) in [0, 1]."""
    x, y = _grid()
    if look == "striped":
        return _bands(x * 0.87 + y * 0.5, period, FILLED)
    if look == "dotted":
        row = np.floor(y / period)
        dx, dy = (x / period + 0.5 * (row % 2)) % 1 - 0.5, (y / period) % 1 - 0.5
        return _inside((np.hypot(dx, dy) - np.sqrt(FILLED / np.pi)) * period)
    # A checked cloth: bands both ways, which together cover the share.
    share = 1 - np.sqrt(1 - FILLED)
    return np.maximum(_bands(x, period, share), _bands(y, period, share))


@functools.lru_cache(maxsize=128)
def _emblem(look: str, name: str) -> tuple[Field, Field]:
    """Where an emblem goes, and where it goes with its dark outline, each (SPRITE, SPRITE) in [0, 1]."""
    shape = sprite(name)
    radius = min(max(shape.radius, 0.17), 0.26)  # on a thin object it sticks out, as a sticker does
    if look == "square":
        corners = np.array([(-0.76, -0.76), (0.76, -0.76), (0.76, 0.76), (-0.76, 0.76)])
    elif look == "heart":
        t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        down = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        corners = np.stack([16 * np.sin(t) ** 3, -down - 2], 1) / 16.5
    else:
        turn, reach = np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2, 0.50, 1.10)
        corners = np.stack([np.sin(turn), -np.cos(turn)], 1) * reach[:, None]
    points = [(x, y) for x, y in (corners * radius + (shape.x, shape.y)) * 4 * SPRITE]
    drawn = []
    for outline in (0, 10):
        image = Image.new("L", (4 * SPRITE, 4 * SPRITE))
        pen = ImageDraw.Draw(image)
        pen.polygon(points, fill=255)
        if outline:
            pen.line([*points, points[0], points[1]], fill=255, width=outline, joint="curve")
        drawn.append(np.asarray(image.reduce(4), np.float32) / 255)
    return drawn[0], drawn[1]


def paint(name: str, colour: Colour, look: str, second: Colour, scale: float) -> Image.Image:
    """The object in its colours, (SPRITE, SPRITE), premultiplied ("RGBa").

    ``scale`` is a pattern's period as a fraction of the object, or the share of a two-tone's upper part.
    """
    shape = sprite(name)
    alpha, outline, flat = shape.alpha, None, None
    if look in EMBLEMS:
        flat, outline = _emblem(look, name)
        second_mask: Field | float = flat
        alpha = np.maximum(alpha, outline)
    elif look == "two-tone":
        top = 0.5 - shape.height / 2
        second_mask = _inside(top + shape.height * scale - _grid()[1])
    else:
        second_mask = _pattern(look, scale) if look in PATTERNS else 0.0
    tone = shape.tone + 0.10 * shape.light
    if flat is not None:  # an emblem covers what is drawn below it
        tone = tone + flat * (0.5 + 0.10 * shape.light - tone)
    picture = _shade(colour, tone, shape.rim)
    if look != "plain":
        mask = np.asarray(second_mask)[..., None]
        picture = picture + mask * (_shade(second, tone, shape.rim if flat is None else 0 * tone) - picture)
    if outline is not None and flat is not None:
        picture = picture * (1 - 0.75 * np.clip(outline - flat, 0, 1))[..., None]
    rgba = np.concatenate([np.clip(picture, 0, 1) * alpha[..., None], alpha[..., None]], -1)
    return Image.fromarray((rgba * 255 + 0.5).astype(np.uint8), "RGBA")


def _shade(colour: Colour, tone: Field, rim: Field) -> NDArray[Any]:
    """A colour in light and shadow, (SPRITE, SPRITE, 3); the outline darker, or lighter on black."""
    dark, middle, light = _ramp(colour)
    t = np.clip(2 * tone - 1, -1, 1)[..., None]
    shaded = middle + np.maximum(t, 0) * (light - middle) + np.minimum(t, 0) * (middle - dark)
    towards = np.float32(0.34) if colour == "black" else 0.35 * middle
    return shaded + 0.55 * rim[..., None] * (towards - shaded)
