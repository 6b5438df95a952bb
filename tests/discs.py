"""Two discs on a noisy ground."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

SIZE = (160, 128)


def noisy(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    return Image.fromarray((pixels + np.random.default_rng(0).normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    return np.hypot(columns - x, rows - y) <= radius


def overlap(mask: Image.Image, truth: np.ndarray) -> float:
    inside = np.asarray(mask) > 0
    return float((inside & truth).sum() / (inside | truth).sum())


def two() -> Image.Image:
    picture = Image.new("RGB", SIZE, (150, 190, 235))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 80, *SIZE), fill=(225, 200, 150))
    for x, colour in ((45, (200, 40, 30)), (115, (30, 40, 200))):
        pen.ellipse((x - 24, 36, x + 24, 84), fill=colour)
    return noisy(picture)


LEFT, RIGHT = disc(45, 60, 24), disc(115, 60, 24)
