"""Superpixels of a photo and how they touch: some 800 patches for 65,000 pixels, so that a cut takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

SIDE = 256  # the longer side at which superpixels are found, in pixels
STEP = 9  # a superpixel's side, in those pixels
COMPACTNESS = 12.0  # how much a step in place weighs against one unit of colour in Lab
ROUNDS = 6


def lab(photo: Image.Image) -> Array:
    """An RGB photo's colours in CIE L*a*b* (D65), (height, width, 3): L from 0 to 100, a and b about +-100."""
    value = np.asarray(photo.convert("RGB"), np.float32) / 255
    linear = np.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
    xyz = linear @ (to_xyz / to_xyz.sum(1, keepdims=True)).T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def resized(photo: Image.Image, side: int) -> Image.Image:
    """The photo with its longer side ``side`` pixels long."""
    ratio = side / max(photo.size)
    size = max(1, round(photo.width * ratio)), max(1, round(photo.height * ratio))
    return photo.resize(size, Image.Resampling.BOX if ratio < 1 else Image.Resampling.BICUBIC)


@dataclass(frozen=True, eq=False)
class Superpixels:
    """``n`` superpixels and the ``m`` pairs of them that touch."""

    labels: Array  # (height, width), which superpixel a pixel is in
    colour: Array  # (n, 4): mean L*, a*, b*, and how much L* varies nearby (texture)
    place: Array  # (n, 2): mean y and x in shares of the longer side
    area: Array  # (n,), shares of the picture
    border: Array  # (n,), shares of the picture's border
    first: Array  # (m,), the one of a pair
    second: Array  # (m,), the other
    length: Array  # (m,), the line between them, in superpixel sides
    edge: Array  # (m,), how strong an edge that line is, in units of L*a*b*

    def at(self, points: tuple[tuple[float, float], ...], ratio: float) -> Array:
        """The superpixels under points (x, y) of a photo that is 1 / ``ratio`` times as large."""
        height, width = self.labels.shape
        inside = [(min(height - 1, int(y * ratio)), min(width - 1, int(x * ratio))) for x, y in points]
        return np.array([self.labels[place] for place in inside], int)


def superpixels(photo: Image.Image) -> Superpixels:
    """Divide a photo by simple linear iterative clustering (Achanta et al. 2012)."""
    from scipy import ndimage

    pixels = lab(resized(photo, SIDE))
    height, width, _ = pixels.shape
    labels = _cluster(pixels)
    flat, n = labels.ravel(), int(labels.max()) + 1
    count = np.bincount(flat, minlength=n)

    def means(*channels: Array) -> Array:
        return np.stack([np.bincount(flat, channel.ravel(), n) / count for channel in channels], -1)

    light = pixels[..., 0]
    variance = ndimage.uniform_filter(light**2, 7) - ndimage.uniform_filter(light, 7) ** 2
    colour = means(*pixels.transpose(2, 0, 1), np.sqrt(np.maximum(variance, 0)))
    rim = np.zeros((height, width))
    depth = SIDE // 64
    rim[:depth] = rim[-depth:] = rim[:, :depth] = rim[:, -depth:] = 1
    first, second, length, step = _pairs(labels, ndimage.gaussian_filter(pixels, (0.7, 0.7, 0)))
    apart = np.sqrt(((colour[first] - colour[second]) ** 2).sum(1))
    return Superpixels(
        labels=labels,
        colour=colour,
        place=means(*np.mgrid[:height, :width]) / SIDE,
        area=count / count.sum(),
        border=np.bincount(flat, rim.ravel(), n) / rim.sum(),
        first=first,
        second=second,
        length=length,
        # An edge needs both: two patches that differ, and a jump where they meet (a soft shadow has none).
        edge=np.sqrt(apart * np.maximum(2 * step, 1e-3)),
    )


def _cluster(pixels: Array) -> Array:
    """k-means in colour and place; a pixel may only join the nine clusters whose cells are around its own."""
    height, width, _ = pixels.shape
    rows, columns = (max(1, round(side / STEP)) for side in (height, width))
    cell_y, cell_x = np.arange(height) * rows // height, np.arange(width) * columns // width
    y, x = np.mgrid[:height, :width].astype(np.float32) * (COMPACTNESS / STEP)
    points = np.concatenate([pixels, y[..., None], x[..., None]], -1).reshape(-1, 5).astype(np.float32)
    home_y, home_x = np.repeat(cell_y, width), np.tile(cell_x, height)
    labels = home_y * columns + home_x
    for _ in range(ROUNDS):
        count = np.maximum(np.bincount(labels, minlength=rows * columns), 1)
        sums = [np.bincount(labels, channel, rows * columns) for channel in points.T]
        centres = (np.stack(sums, -1) / count[:, None]).astype(np.float32)
        nearest = np.full(len(points), np.inf, np.float32)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                row, column = home_y + dy, home_x + dx
                exists = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
                candidate = np.where(exists, row * columns + column, 0)
                step = points - centres[candidate]
                distance = np.where(exists, np.einsum("ij,ij->i", step, step), np.inf)
                labels = np.where(distance < nearest, candidate, labels)
                nearest = np.minimum(distance, nearest)
    return np.unique(labels, return_inverse=True)[1].reshape(height, width)


def _pairs(labels: Array, pixels: Array) -> tuple[Array, Array, Array, Array]:
    """Pairs of labels that touch: the one, the other, length in superpixel sides, and mean colour step across."""
    n = int(labels.max()) + 1
    keys, steps = [], []
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        one, other = labels[before], labels[after]
        differ = one != other
        keys.append((np.minimum(one, other) * n + np.maximum(one, other))[differ])
        steps.append(np.sqrt(((pixels[before] - pixels[after]) ** 2).sum(-1))[differ])
    pairs, which = np.unique(np.concatenate(keys), return_inverse=True)
    count = np.bincount(which, minlength=len(pairs))
    step = np.bincount(which, np.concatenate(steps), len(pairs)) / np.maximum(count, 1)
    return pairs // n, pairs % n, count / STEP, step
