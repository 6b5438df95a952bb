"""Lockstep: inversions that are followed one by one and take their steps together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.inversion.loop import Inversion, advance
from photowords.inversion.problem import Problem
from photowords.inversion.step import Step
from photowords.settings import InvertSettings


class Lockstep:
    """Inversions of one model, each an iterator of steps like ``invert``, that share the network's passes.

    Whoever asks for a step that is not there has all make one, so they should be asked in turn. They may begin, end
    and fail at different times; none of it changes another's steps beyond rounding.
    """

    def __init__(self) -> None:
        self._made: dict[Inversion, deque[Step | Exception]] = {}

    def invert(
        self,
        backbone: Backbone,
        start: Concept,
        photos: Sequence[Image],
        settings: InvertSettings | None = None,
        resume: Step | None = None,
        masks: Sequence[Image | None] = (),
    ) -> Iterator[Step]:
        """As ``loop.invert``, in step with the others. The backbone must be theirs."""
        one = Inversion(Problem(backbone, start, photos, masks, settings), resume)
        mine = self._made[one] = deque()
        try:
            if resume is None:
                yield one.begin()
            while mine or not one.finished:
                if not mine:
                    self._advance()
                made = mine.popleft()
                if isinstance(made, Exception):
                    raise made
                yield made
        finally:
            del self._made[one]

    def _advance(self) -> None:
        """A step of each that has used up its own."""
        waiting = [one for one, made in self._made.items() if not (made or one.finished)]
        for one, made in zip(waiting, advance(waiting), strict=True):
            self._made[one].append(made)
