"""From clicks on a photo to the mask of the object: a Segment Anything model, or a graph cut without weights."""

from __future__ import annotations

from photowords.segmentation.drawing import overlay
from photowords.segmentation.interface import Clicks, Segmenter
from photowords.segmentation.masks import check_mask, clean, cut_out, load_mask, object_box, save_mask
from photowords.segmentation.selection import Selection
from photowords.segmentation.selector import Selector, load

__all__ = [
    "Clicks",
    "Segmenter",
    "Selection",
    "Selector",
    "check_mask",
    "clean",
    "cut_out",
    "load",
    "load_mask",
    "object_box",
    "overlay",
    "save_mask",
]
