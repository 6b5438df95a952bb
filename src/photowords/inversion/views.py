"""What the loop learns from: each photo's latents, and how much each of their cells weighs in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL.Image import Image, Resampling
from torch import Tensor
from torch.nn import functional as F

from photowords import images
from photowords.backbones import Backbone, LatentDistribution
from photowords.errors import UserError
from photowords.segmentation import check_mask
from photowords.settings import BACKGROUND_WEIGHT


@dataclass(frozen=True)
class View:
    """One square picture as the loss sees it.

    Attributes:
        latents: of the picture, (1, c, h, w).
        weight: of each latent cell, (1, 1, h, w), mean 1, so that losses compare whatever the mask.
    """

    latents: LatentDistribution
    weight: Tensor


def views(
    backbone: Backbone,
    photos: Sequence[Image],
    masks: Sequence[Image | None] = (),
    background_weight: float | None = None,
    mirrored: bool = False,
    resize: str = "crop",
) -> list[View]:
    """A view of each photo: its middle square, or the square around the masked object (``images.square_box``).

    masks: one for each photo or none at all; mode "L", the photo's size, 255 on the object.
    background_weight: of a cell without object, against 1 of one that is all object; in between they mix by area.
        None is ``BACKGROUND_WEIGHT`` with a mask; without a mask every cell weighs the same.
    mirrored: left and right changed, mask and picture alike.
    resize: "crop", or "squash" for the whole photo, whatever its shape.
    Raises UserError as ``square``, for a ``background_weight`` without any mask, and for masks of fewer or more photos.
    """
    if background_weight is not None and not any(masks):
        raise UserError("`background_weight` is of what lies outside a mask, and no photo has one; leave it out")
    if masks and len(masks) != len(photos):
        raise UserError(f"there are {len(masks)} masks for {len(photos)} photos; give one for each, or None")
    outside = BACKGROUND_WEIGHT if background_weight is None else background_weight
    found = []
    for photo, mask in zip(photos, masks or [None] * len(photos), strict=True):
        box, size = square(photo, mask, resize), backbone.picture_size
        if resize == "squash":  # with the filter of textual inversion's scripts
            picture = images.to_tensor(photo.resize((size, size), Resampling.BICUBIC), size)
        else:
            picture = images.to_tensor(photo, size, box)
        latents = backbone.encode_picture(picture.flip(-1) if mirrored else picture)
        weight = torch.ones_like(latents.mean[:, :1])
        if mask is not None:
            covered = F.interpolate(images.coverage(mask, box), latents.mean.shape[-2:], mode="area").to(weight)
            weight = outside + (1 - outside) * (covered.flip(-1) if mirrored else covered)
        found.append(View(latents, weight / weight.mean()))
    return found


def framed(photo: Image, mask: Image | None, resize: str = "crop") -> Image:
    """The square picture that is learned, at the photo's own resolution. Raises UserError as ``square``."""
    side = min(photo.size)
    box = square(photo, mask, resize)
    return photo.crop(box) if resize == "crop" else photo.resize((side, side), Resampling.BICUBIC)


def shown(photo: Image, mask: Image | None, resize: str = "crop") -> Image:
    """What a reader is to describe: the part of the photo that is learned, unless a mask says what in it is meant.

    Raises UserError as ``square``.
    """
    box = square(photo, mask, resize)
    return photo.crop(box) if mask is None else photo


def described(photos: Sequence[Image], masks: Sequence[Image | None], resize: str = "crop") -> list[Image]:
    """What a start is given: the first photo as readers are shown it, the others as they are learned.

    Raises UserError as ``square``.
    """
    pairs = zip(photos, masks, strict=True)
    return [(framed if number else shown)(photo, mask, resize) for number, (photo, mask) in enumerate(pairs)]


def square(photo: Image, mask: Image | None, resize: str = "crop") -> tuple[int, int, int, int]:
    """The part of a photo that is learned: a square of it (``images.square_box``), or the whole where it is squashed.

    Raises UserError for a mask of another size than its photo, for an empty one, and where the square holds no object.
    """
    if mask is not None:
        check_mask(mask, photo)
    if resize == "squash":
        return 0, 0, *photo.size
    box = images.square_box(photo.size, mask)
    if mask is not None and images.object_box(mask.crop(box)) is None:  # pieces at the two ends of a long photo
        raise UserError(
            "what is marked lies too far apart for one square of the photo; mark one thing, or crop the photo"
        )
    return box
