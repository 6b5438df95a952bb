"""Clicks on photos, answered: the one way from what a user points at to a selection."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from PIL.Image import Image

from photowords.errors import UserError
from photowords.pretrained import portable_name
from photowords.segmentation.interface import Clicks, Segmenter
from photowords.segmentation.selection import Selection

KEPT = 4
"""Photos that stay prepared for the next click."""


def load(source: str | None = None, device: torch.device | str = "cpu") -> Segmenter:
    """The embedded graph cut, or the Segment Anything model in a transformers folder or by its hub name.

    Raises UserError where the model cannot be loaded.
    """
    if source is None:
        from photowords.segmentation.graphcut import GraphCut

        return GraphCut()
    from photowords.segmentation.sam import SegmentAnything

    return SegmentAnything(source, device)


class Selector:
    """A segmenter that is loaded when it is first asked, and that keeps the last photos prepared.

    ``source`` and ``device`` as ``load`` takes them.
    """

    def __init__(self, source: str | None = None, device: torch.device | str = "cpu") -> None:
        self._source, self._device = source, device
        self._segmenter: Segmenter | None = None
        self._prepared: OrderedDict[Hashable, Callable[[Clicks], Image]] = OrderedDict()

    def prepare(self, photo: Image, key: Hashable = None) -> Callable[[Clicks], Image]:
        """Do what no click changes, once for each ``key`` that is given.

        Raises UserError where the segmenter cannot be loaded.
        """
        if key in self._prepared:
            self._prepared.move_to_end(key)
            return self._prepared[key]
        self._segmenter = self._segmenter or load(self._source, self._device)
        answer = self._segmenter.open(photo)
        if key is not None:
            self._prepared[key] = answer
            if len(self._prepared) > KEPT:
                self._prepared.popitem(last=False)
        return answer

    def select(self, photo: Image, clicks: Clicks, key: Hashable = None) -> Selection:
        """The object that is clicked; photos of one ``key`` are the same.

        Raises UserError where clicks are wrong (``Clicks.check``), before a segmenter is loaded, and where no object is
        found.
        """
        clicks.check(photo.size)
        answer = self.prepare(photo, key)
        assert self._segmenter is not None
        try:
            mask = answer(clicks)
        except UserError as error:
            if clicks.on:
                raise
            raise UserError(
                "no object is found in the `box`; draw it a little larger than the object, add a `click` on that, or "
                "give a `mask` of your own"
            ) from error
        return Selection(mask, portable_name(self._segmenter.source), clicks, self._segmenter.revision)
