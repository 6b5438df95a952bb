"""The nine scenes of the pocket world and its picture styles, drawn with numpy alone.

Every length is a fraction of the picture's side, so that a 128-pixel picture is what one gets by
shrinking a 256-pixel picture of the same scene.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[Any]  # (size, size, 3), float32 in [0, 1]

SCENES = {
    "beach": "on the beach",
    "snow": "in the snow",
    "grass": "on the grass",
    "night": "under the night sky",
    "brick": "in front of a brick wall",
    "table": "on a wooden table",
    "desert": "in the desert",
    "underwater": "under water",
    "white": "on a white background",
}
"""Scene -> the words that a caption uses for it."""

STYLES = {
    "photo": "a photo of",
    "sketch": "a pencil sketch of",
    "pixel": "pixel art of",
    "blueprint": "a blueprint of",
}
"""Style -> the words that open its captions."""

GROUND = ("beach", "snow", "grass", "table", "desert", "white")
"""The scenes on whose ground things stand, with a shadow; in the others they hang anywhere."""

VARIANTS = 24
"""How many drawings of each scene there are (``scene_seed`` is taken modulo this)."""

CELLS = 32
"""Cells of pixel art, a side."""


def _rgb(*channels: float) -> Pixels:
    return np.array(channels, np.float32)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> NDArray[Any]:
    """Noise of about ``cells`` bumps a side, (size, size), in [-1, 1]."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _gradient(top: tuple[float, ...], bottom: tuple[float, ...], y: Pixels) -> Pixels:
    return np.asarray(top, np.float32) * (1 - y) + np.asarray(bottom, np.float32) * y


@functools.lru_cache(maxsize=1024)
def draw_scene(scene: str, variant: int, size: int) -> Pixels:
    """One of the ``VARIANTS`` drawings of a scene, drawn at twice the size and shrunk. Raises KeyError on an unknown
    scene."""
    large = _draw_scene(scene, variant, 2 * size)
    return np.ascontiguousarray(large.reshape(size, 2, size, 2, 3).mean((1, 3)))


def _draw_scene(scene: str, variant: int, size: int) -> Pixels:
    seed = list(SCENES).index(scene) if scene in SCENES else None
    if seed is None:
        raise KeyError(f"unknown scene {scene!r}; the scenes are {', '.join(SCENES)}")
    rng = np.random.default_rng([seed, variant % VARIANTS])
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = axis[None, :, None], axis[:, None, None]
    shift = rng.uniform(-0.03, 0.03)
    phase = rng.uniform(0, 2 * np.pi)
    horizon: Any  # a height, or for each column its own
    edge: Any
    bumps = _smooth_noise(rng, size, 10)[..., None]
    waves = _smooth_noise(rng, size, 4)[..., None]
    if scene == "beach":
        horizon, shore = 0.36 + shift, 0.56 + shift
        sky = _gradient((0.45, 0.73, 0.95), (0.78, 0.90, 0.98), y / horizon)
        sea = _rgb(0.10, 0.47, 0.68) + 0.05 * np.sin(y * 130 + phase)
        sand = _rgb(0.92, 0.82, 0.60) + 0.03 * bumps
        edge = shore + 0.015 * np.sin(x * 9 + phase)
        picture = np.where(y < horizon, sky, np.where(y < edge, sea, sand))
    elif scene == "snow":
        horizon = 0.48 + shift + 0.02 * np.sin(x * 5 + phase)
        sky = _gradient((0.66, 0.75, 0.86), (0.84, 0.89, 0.95), y / 0.5)
        ground = _rgb(0.95, 0.97, 1.0) + 0.02 * waves
        picture = np.where(y < horizon, sky, ground)
        for cx, cy in rng.uniform(0.03, 0.97, (14, 2)):
            flake = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.00025)
            picture = picture + (1 - picture) * flake
    elif scene == "grass":
        horizon = 0.46 + shift
        sky = _gradient((0.50, 0.77, 0.96), (0.80, 0.92, 0.99), y / horizon)
        blades = _rgb(0.28, 0.60, 0.20) + 0.06 * bumps + 0.02 * np.sin(x * 120 + 3 * bumps)
        picture = np.where(y < horizon, sky, blades)
    elif scene == "night":
        hill = 0.80 + shift + 0.03 * np.sin(x * 4 + phase)
        sky = _gradient((0.03, 0.04, 0.16), (0.10, 0.12, 0.32), y / 0.8)
        for cx, cy in rng.uniform(0.03, 0.75, (18, 2)) * np.array([1.3, 1.0]):
            sky = sky + (1 - sky) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.00018)
        picture = np.where(y < hill, sky, _rgb(0.03, 0.07, 0.05) + 0 * x)
    elif scene == "brick":
        row = np.floor(y * 8)
        across = x * 4 + 0.5 * (row % 2)
        shade = np.sin(12.9 * np.floor(across) + 78.2 * row + phase)
        mortar = ((y * 8) % 1 < 0.14) | (across % 1 < 0.07)
        brick = _rgb(0.66, 0.29, 0.21) + 0.05 * shade
        picture = np.where(mortar, _rgb(0.80, 0.75, 0.69), brick)
    elif scene == "table":
        edge = 0.52 + shift
        wall = _gradient((0.90, 0.86, 0.78), (0.82, 0.77, 0.68), y / edge)
        plank = np.sin((y - edge) * 60 + 1.5 * waves) * 0.04 + 0.02 * np.sin(x * 6 + phase)
        wood = _rgb(0.55, 0.35, 0.20) + plank
        picture = np.where(y < edge, wall, wood)
    elif scene == "desert":
        dune = 0.52 + shift + 0.05 * np.sin(x * 5 + phase)
        front = 0.76 + shift + 0.04 * np.sin(x * 4 + 2 * phase)
        sky = _gradient((0.98, 0.78, 0.50), (1.0, 0.90, 0.70), y / 0.5)
        far = _rgb(0.89, 0.63, 0.34) + 0 * x
        near = _rgb(0.80, 0.52, 0.26) + 0.02 * waves
        picture = np.where(y < dune, sky, np.where(y < front, far, near))
    elif scene == "underwater":
        rays = 0.06 * np.sin((x + 0.35 * y) * 22 + phase + waves) * (1 - y)
        picture = _gradient((0.12, 0.56, 0.76), (0.02, 0.20, 0.42), y) + rays
    else:  # white
        fall = (x - 0.5) ** 2 + (y - 0.45) ** 2
        picture = _rgb(1, 1, 1) * (0.985 - 0.06 * fall) + 0 * x * y
    full = np.broadcast_to(picture, (size, size, 3))
    return np.clip(full, 0, 1).astype(np.float32)


def apply_style(picture: Pixels, style: str) -> Pixels:
    """Redraw a finished picture in a style. Raises KeyError on an unknown style."""
    if style == "photo":
        return picture
    if style not in STYLES:
        raise KeyError(f"unknown style {style!r}; the styles are {', '.join(STYLES)}")
    size = picture.shape[0]
    image = Image.fromarray((picture * 255).astype(np.uint8))
    if style == "pixel":
        small = image.resize((CELLS, CELLS), Image.Resampling.BOX)
        levels = np.round(np.asarray(small, np.float32) / 255 * 5) / 5
        cells = (np.arange(size) * CELLS) // size
        return levels[cells][:, cells].astype(np.float32)
    grey = image.convert("L")
    blurred = grey.filter(ImageFilter.GaussianBlur(size / 26))
    light = np.asarray(grey, np.float32) / 255
    ratio = np.clip((light + 0.05) / (np.asarray(blurred, np.float32) / 255 + 0.05), 0, 1)
    if style == "sketch":
        # Colour dodge: what is darker than its surroundings becomes a pencil stroke on paper.
        stroke = (0.80 * ratio + 0.20 * light)[..., None]
        return np.clip(stroke * _rgb(0.98, 0.97, 0.94), 0, 1).astype(np.float32)
    line = np.clip((1 - ratio) * 1.8, 0, 1)[..., None]
    paper = _rgb(0.09, 0.24, 0.55) + 0.10 * light[..., None]
    return np.clip(paper + (_rgb(0.92, 0.96, 1.0) - paper) * line, 0, 1).astype(np.float32)
