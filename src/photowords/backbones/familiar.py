"""Whether photos are of the world that a model knows, and the one sentence that says when they are not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from PIL.Image import Image

from photowords import images
from photowords.backbones.interface import Backbone
from photowords.errors import PhotowordsWarning


def is_familiar(backbone: Backbone, photo: Image, mask: Image | None = None) -> bool:
    """False when a photo's square (around the mask) is known to lie outside what the model was trained on."""
    box = images.square_box(photo.size, mask)
    return backbone.is_familiar(images.to_tensor(photo, backbone.picture_size, box))


def warn_of_strangers(
    backbone: Backbone,
    photos: Sequence[Image],
    masks: Sequence[Image | None] = (),
    called: str = "photo",
    expect: str = "wrong words and a poor likeness",
) -> None:
    """Warn of each photo that the model is known not to know: what it is ``called``, and what to ``expect``.

    ``masks`` stand for the first of the photos.
    """
    for number, photo in enumerate(photos):
        if not is_familiar(backbone, photo, masks[number] if number < len(masks) else None):
            which = f"the {called}" if len(photos) == 1 else f"{called} {number + 1}"
            warnings.warn(
                f"{which} lies outside the small world that {backbone.name} and its readers know: expect {expect} "
                "(real photos want a real model, for instance `model` sd15)",
                PhotowordsWarning,
                stacklevel=3,
            )
