"""Mask files, and what is done with a mask: cleaned, boxed, cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photowords import images
from photowords.errors import UserError
from photowords.images import OBJECT_FROM, OBJECT_SHARE, load_photo, save_png
from photowords.segmentation.interface import Clicks

Mask = NDArray[np.bool_]  # (height, width), True on the object

FILLED = 0.04
"""Share of the object's area up to which a hole is filled; larger ones (a handle's) are taken for real."""
ROUNDED = 1 / 400
"""Radius to which the outline is rounded, as a share of the picture's longer side."""


def to_array(mask: Image.Image) -> Mask:
    """The mask as (height, width) booleans; grey counts as object from ``OBJECT_FROM`` on."""
    return np.asarray(mask.convert("L")) >= OBJECT_FROM


def to_image(mask: NDArray[Any]) -> Image.Image:
    """Booleans (height, width) as a mask, mode "L", 0 and 255."""
    return Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))


def load_mask(path: Path | str, size: tuple[int, int]) -> Image.Image:
    """Read a mask for a photo of ``size`` (width, height): white is the object, black is not.

    Where a file is transparent in places, its opacity is the mask, as of a selection or a cut-out saved from a
    drawing program. Of two values the brighter is white (so 0 and 1 will do); else grey counts as object from
    ``images.OBJECT_FROM`` on.

    Raises:
        UserError: what ``images.load_photo`` raises, or a mask of another size, or without any white.
    """
    opaque = _opacity(path)
    image = load_photo(path) if opaque is None else opaque
    if image.size != size:
        raise UserError(
            f"the mask {path} is {image.width}x{image.height} pixels and the photo {size[0]}x{size[1]}; "
            "make the mask from this photo, in its size"
        )
    grey = np.asarray(image.convert("L")) if opaque or (raw := _raw(path)) is None else raw
    values = np.unique(grey)
    if len(values) != 2:
        grey = np.asarray(image.convert("L"))
    mask = to_image(grey > values[0] if len(values) == 2 else grey >= OBJECT_FROM)
    if images.object_box(mask) is None:
        raise UserError(f"the mask {path} is empty; paint the object white and everything else black")
    return mask


def _raw(path: Path | str) -> NDArray[Any] | None:
    """The values of a file of more than 8 bits as they are stored, such as a label map's; None of another."""
    with Image.open(path) as image:
        return np.asarray(images.upright(image)) if image.mode.startswith(("I", "F")) else None


def _opacity(path: Path | str) -> Image.Image | None:
    """The opacity of a file that is transparent in places, None of another. Raises as ``images.load_photo``."""
    load_photo(path)  # says what is wrong with the file, if anything is
    with Image.open(path) as image:
        if not image.has_transparency_data:
            return None
        opacity = images.upright(image).convert("RGBA").getchannel("A")
    return None if opacity.getextrema()[0] == 255 else opacity


def save_mask(mask: Image.Image, path: Path | str) -> None:
    """Write a mask as PNG. Raises UserError where it cannot be written."""
    save_png(mask, path)


def clean(mask: Image.Image, clicks: Clicks) -> Image.Image:
    """The mask as one means it: outline rounded, small holes filled, specks dropped.

    A speck is a piece of less than a tenth of the largest piece that nobody clicked.
    Raises UserError where nothing is left, or nothing under any click.
    """
    from scipy import ndimage

    pixels = to_array(mask)
    height, width = pixels.shape
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), max(height, width) * ROUNDED) > 0.5
    reach = max(1.0, max(height, width) * ROUNDED * 2)
    y, x = np.ogrid[:height, :width]
    for cx, cy in clicks.on:  # a clicked part may be thinner than the rounding
        smooth |= pixels & (np.hypot(x + 0.5 - cx, y + 0.5 - cy) <= reach)
    pieces, count = ndimage.label(smooth)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    areas[0] = 0
    clicked = {int(pieces[int(cy), int(cx)]) for cx, cy in clicks.on} - {0}
    large = set(np.flatnonzero(areas >= max(1, areas.max() / 10)).tolist())
    kept = np.isin(pieces, list(large | clicked if clicked or not clicks.on else ()))
    if not kept.any():
        raise UserError(
            "no object is found where you clicked; click elsewhere on it, give a `box` around it, or a "
            "`mask` of your own"
        )
    holes, count = ndimage.label(~kept)
    areas = np.bincount(holes.ravel(), minlength=count + 1)
    edge = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    small = (areas <= FILLED * kept.sum()) & ~np.isin(np.arange(count + 1), edge)
    small[0] = False
    for cx, cy in clicks.off:  # who says that a hole is background is believed
        small[holes[int(cy), int(cx)]] = False
    return to_image(kept | small[holes])


def object_box(mask: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the object, in pixels, right and bottom excluded. Raises UserError if empty."""
    box = images.object_box(mask)
    if box is None:
        raise UserError("the mask is empty; click on the object again, or give another mask")
    return box


def check_mask(mask: Image.Image, photo: Image.Image) -> None:
    """Raises UserError unless the mask is of the photo's size and has an object."""
    if mask.size != photo.size:
        raise UserError(
            f"the mask is {mask.width}x{mask.height} pixels, but its photo is {photo.width}x{photo.height}; "
            "give a mask of the photo's size"
        )
    object_box(mask)


def cut_out(photo: Image.Image, mask: Image.Image, share: float = OBJECT_SHARE) -> Image.Image:
    """The object alone in the middle of a pure white square, RGB, as captioners see it best.

    The longer side of its box takes ``share``, in (0, 1], of the square's side; pixels are not resampled.
    Source: Caption Anything (Wang et al. 2023, arXiv 2305.02677), visual chain of thought.
    Raises UserError for an empty mask.
    """
    left, top, right, bottom = object_box(mask)
    side = max(1, round(max(right - left, bottom - top) / share))
    square = Image.new("RGB", (side, side), "white")
    place = ((side - (right - left)) // 2, (side - (bottom - top)) // 2)
    square.paste(
        photo.crop((left, top, right, bottom)), place, to_image(to_array(mask)).crop((left, top, right, bottom))
    )
    return square
