"""What a reader is shown of the region that a mask marks. Raises UserError for an empty mask or one of another size."""

from __future__ import annotations

from PIL.Image import Image

from photowords.segmentation import check_mask, cut_out, object_box


def seen(picture: Image, mask: Image | None) -> Image:
    """The picture, or the masked object cut out on white, RGB."""
    if mask is None:
        return picture
    check_mask(mask, picture)
    return cut_out(picture, mask)


def box(picture: Image, mask: Image) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the masked object in pixels, right and bottom excluded."""
    check_mask(mask, picture)
    return object_box(mask)
