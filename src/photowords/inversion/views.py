"""What the loop learns from: each photo's latents, and how much each of their cells weighs in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import ImageOps
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional as F

from photowords import images
from photowords.backbones import Backbone, LatentDistribution
from photowords.errors import UserError


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
) -> list[View]:
    """A view of each photo: its square, moved to hold the masked object where there is a mask.

    masks: one for each photo or none at all; mode "L", the photo's size, 255 on the object.
    background_weight: of a cell without object, against 1 of one that is all object; in between they mix by area.
        None is 0.1 with a mask; without a mask every cell weighs the same.
    mirrored: left and right changed, mask and picture alike.
    Raises UserError for a mask of another size than its photo, and for an empty one.
    """
    outside = 0.1 if background_weight is None else background_weight
    found = []
    for photo, mask in zip(photos, masks or [None] * len(photos), strict=True):
        if mask is not None:
            _check(mask, photo)
        if mirrored:
            photo, mask = ImageOps.mirror(photo), mask and ImageOps.mirror(mask)
        box = images.square_box(photo.size, mask)
        latents = backbone.encode(images.to_tensor(photo, backbone.picture_size, box))
        weight = torch.ones_like(latents.mean[:, :1])
        if mask is not None:
            covered = F.interpolate(images.coverage(mask, box), latents.mean.shape[-2:], mode="area")
            weight = outside + (1 - outside) * covered.to(weight)
        found.append(View(latents, weight / weight.mean()))
    return found


def _check(mask: Image, photo: Image) -> None:
    if mask.size != photo.size:
        (w, h), (pw, ph) = mask.size, photo.size
        raise UserError(f"the mask is {w}x{h} pixels, but its photo is {pw}x{ph}; give a mask of the photo's size")
    if mask.getextrema()[1] == 0:
        raise UserError("the mask is empty: no pixel of it is white; mark the object in white")
