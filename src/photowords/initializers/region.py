"""What a reader is shown of the region that a mask marks. Raises UserError for an empty mask or one of another size."""

from __future__ import annotations

from PIL.Image import Image

from photowords.errors import UserError


def seen(picture: Image, mask: Image | None) -> Image:
    """The picture, or the masked object cut out on white, RGB."""
    if mask is None:
        return picture
    from photowords.segmentation import cut_out

    return cut_out(picture, _fitting(mask, picture))


def box(picture: Image, mask: Image) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the masked object in pixels, right and bottom excluded."""
    from photowords.segmentation import object_box

    return object_box(_fitting(mask, picture))


def _fitting(mask: Image, picture: Image) -> Image:
    if mask.size != picture.size:
        had, needed = (f"{image.width}x{image.height}" for image in (mask, picture))
        raise UserError(f"the mask is {had} pixels, but the photo is {needed}; give a mask of the photo's size")
    return mask
