"""The object that was chosen in a photo."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from PIL.Image import Image

from photowords import images
from photowords.segmentation.interface import Clicks


@dataclass(frozen=True)
class Selection:
    """The object in a photo, and how it was chosen.

    Attributes:
        mask: mode "L", the photo's size, 255 on the object.
        source: the segmenter's name, or the mask file's, without a folder of this machine.
        revision: the hub's commit of the segmenter, None for others.
        clicks: what the segmenter was asked; None for a mask from a file.
    """

    mask: Image
    source: str
    clicks: Clicks | None = None
    revision: str | None = None

    def provenance(self) -> dict[str, Any]:
        """As plain JSON values; ``share`` is how much of the photo the object covers."""
        share = round(sum(self.mask.histogram()[images.OBJECT_FROM :]) / (self.mask.width * self.mask.height), 4)
        asked = {} if self.clicks is None else {"revision": self.revision, "clicks": dataclasses.asdict(self.clicks)}
        return {"source": self.source, "share": share, **asked}
