"""The object that was chosen in a photo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

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

    def as_json(self) -> dict[str, Any]:
        """All but the mask, as plain JSON values."""
        clicks = None if self.clicks is None else dataclasses.asdict(self.clicks)
        return {"source": self.source, "revision": self.revision, "clicks": clicks}

    @classmethod
    def from_json(cls, told: Mapping[str, Any], mask: Image) -> Self:
        """What ``as_json`` told, with its mask."""
        asked = told["clicks"]
        clicks = asked and Clicks.from_json(asked)
        return cls(mask, told["source"], clicks, told["revision"])
