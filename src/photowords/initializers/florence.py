"""Florence-2 (Xiao et al. 2023): a captioner that is asked in task tokens, and takes a box for a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL.Image import Image

from photowords.errors import UserError
from photowords.initializers.region import box
from photowords.pretrained import pretrained

BINS = 1000
"""Steps of the picture's width and height that a <loc_..> token can name."""


class FlorencePrompter:
    """The inputs of a Florence-2: "<CAPTION>" of a whole picture, "<REGION_TO_DESCRIPTION>" of a mask's box."""

    def __init__(self, source: str, config: Mapping[str, Any]) -> None:
        from transformers import AutoProcessor

        if "auto_map" in config:  # its weights' names are others: transformers would leave most of the model random
            raise UserError(
                f"{source} is a Florence-2 for its authors' own code; give one in the transformers format, such as "
                "florence-community/Florence-2-base"
            )
        self._processor: Any = pretrained(AutoProcessor, source, "captioner", backend="pil")

    def __call__(self, picture: Image, mask: Image | None) -> Mapping[str, Any]:
        """What ``generate`` takes. The whole picture is shown either way: what lies around helps to name a thing."""
        task = "<CAPTION>" if mask is None else "<REGION_TO_DESCRIPTION>" + location(picture, mask)
        inputs: Mapping[str, Any] = self._processor(text=task, images=picture, return_tensors="pt")
        return inputs

    def decode(self, ids: Any) -> str:
        """The words of an answer, without the box that Florence-2 says again after them."""
        text: str = self._processor.decode(ids, skip_special_tokens=True)
        return text.partition("<loc_")[0]


def location(picture: Image, mask: Image) -> str:
    """A mask's box in Florence-2's words: "<loc_0><loc_250><loc_499><loc_999>" for left, top, right, bottom.

    Raises UserError for an empty mask and for one of another size than the picture.
    """
    sides = (picture.width, picture.height) * 2
    edges = zip(box(picture, mask), sides, strict=True)
    return "".join(f"<loc_{min(int(edge * BINS / side), BINS - 1)}>" for edge, side in edges)
