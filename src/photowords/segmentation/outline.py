"""The outline of a cut of superpixels, found again on pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photowords.segmentation.mincut import minimum_cut
from photowords.segmentation.superpixels import SIDE, Superpixels

Array = NDArray[Any]

BAND = 3  # half the width of the band in which pixels change sides, in pixels of a picture of SIDE
AROUND = 12  # superpixels that tell of a pixel's surroundings
LIKE = 9.0  # Lab distance at which two colours are still alike
UNSEEN = 0.05
SMOOTHNESS = 3.0


def pixel_outline(inside: Array, pinned: Array, parts: Superpixels, around: Array, pixels: Array) -> Array:
    """Which pixels are the object's, (height, width) booleans.

    ``inside`` (n,) says which superpixels are, ``pinned`` (n,) is 0 where that may change, ``around`` (n, k) holds
    the nearest superpixels of each, and ``pixels`` (height, width, 3) are the picture's colours in L*a*b*, at any size.
    """
    from scipy import ndimage

    height, width, _ = pixels.shape
    rows, columns = parts.labels.shape
    labels = parts.labels[np.arange(height)[:, None] * rows // height, np.arange(width) * columns // width]
    mask: Array = inside[labels]
    reach = max(1, round(BAND * max(height, width) / SIDE))
    band = ndimage.binary_dilation(mask, iterations=reach) & ndimage.binary_dilation(~mask, iterations=reach)
    band &= (pinned == 0)[labels]
    if not band.any():
        return mask
    # What a pixel looks like: the most alike superpixel nearby, on either side.
    near = around[labels[band]]  # (pixels of the band, k)
    apart = ((pixels[band][:, None] - parts.colour[near, :3]) ** 2).sum(-1)
    alike = np.exp(-apart / (2 * LIKE**2))
    ours, theirs = (np.where(inside[near] == side, alike, 0).max(1) for side in (True, False))
    gain = np.log((ours + UNSEEN) / (theirs + UNSEEN))

    number = np.full((height, width), -1)
    number[band] = np.arange(len(gain))
    firsts, seconds, steps = [], [], []
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        touched = band[before] | band[after]
        firsts.append(np.stack([number[before], mask[before]], -1)[touched])
        seconds.append(np.stack([number[after], mask[after]], -1)[touched])
        steps.append(((pixels[before] - pixels[after]) ** 2).sum(-1)[touched])
    first, second, step = np.concatenate(firsts), np.concatenate(seconds), np.concatenate(steps)
    bond = SMOOTHNESS * np.exp(-step / (2 * step.mean() + 1e-9)) + 0.1
    # A neighbour beyond the band keeps its side, so its bond is a gain.
    for own, other in ((first, second), (second, first)):
        fixed = (own[:, 0] >= 0) & (other[:, 0] < 0)
        np.add.at(gain, own[fixed, 0], np.where(other[fixed, 1] == 1, bond[fixed], -bond[fixed]))
    free = (first[:, 0] >= 0) & (second[:, 0] >= 0)
    mask = mask.copy()
    mask[band] = minimum_cut(gain, first[free, 0], second[free, 0], bond[free])
    return mask
