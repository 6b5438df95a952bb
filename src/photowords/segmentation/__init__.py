"""From clicks on a photo to the mask of the object: a Segment Anything model, or a graph cut without weights."""

from __future__ import annotations

import torch

from photowords.segmentation.drawing import overlay
from photowords.segmentation.interface import Clicks, Segmenter
from photowords.segmentation.masks import check_mask, clean, cut_out, load_mask, object_box, save_mask
from photowords.segmentation.selection import Selection

__all__ = [
    "Clicks",
    "Segmenter",
    "Selection",
    "check_mask",
    "clean",
    "cut_out",
    "load",
    "load_mask",
    "object_box",
    "overlay",
    "save_mask",
]


def load(source: str | None = None, device: torch.device | str = "cpu") -> Segmenter:
    """The embedded graph cut, or the Segment Anything model in a transformers folder or by its hub name.

    Raises UserError where the model cannot be loaded.
    """
    if source is None:
        from photowords.segmentation.graphcut import GraphCut

        return GraphCut()
    from photowords.segmentation.sam import SegmentAnything

    return SegmentAnything(source, device)
