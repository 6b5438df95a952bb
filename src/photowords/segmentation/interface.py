"""What a user points at, and what answers: clicks, and the segmenter that turns them into a mask."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from PIL.Image import Image

from photowords.errors import UserError

Point = tuple[float, float]


@dataclass(frozen=True)
class Clicks:
    """Where the object is, in pixels of the photo as ``images.load_photo`` reads it; (0, 0) is its top left corner.

    ``on`` are points (x, y) on the object, ``off`` points on the background; ``box`` is (x0, y0, x1, y1) around
    the object.
    """

    on: tuple[Point, ...] = ()
    off: tuple[Point, ...] = ()
    box: tuple[float, float, float, float] | None = None

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Of plain JSON values, with the names of the fields."""
        box = told["box"]
        return cls(tuple(map(tuple, told["on"])), tuple(map(tuple, told["off"])), box and tuple(box))

    def check(self, size: tuple[int, int]) -> None:
        """Raises UserError unless the clicks say where in a picture of ``size`` (width, height) the object is."""
        width, height = size
        if not self.on and self.box is None:
            raise UserError("nothing points at the object; give at least one click on it, or a box around it")
        for kind, points in (("click", self.on), ("background click", self.off)):
            for x, y in points:
                if not (0 <= x < width and 0 <= y < height):  # also where a number is not finite
                    raise UserError(
                        f"the {kind} {x:g},{y:g} is outside the picture, which is {width}x{height} pixels; "
                        f"give x from 0 to {width - 1} and y from 0 to {height - 1}"
                    )
        for x, y in set(self.on) & set(self.off):
            raise UserError(
                f"the click {x:g},{y:g} is said to be on the object and on the background; drop one of both"
            )
        if self.box is None:
            return
        x0, y0, x1, y1 = self.box
        said = f"the box {x0:g},{y0:g},{x1:g},{y1:g}"
        if not all(map(math.isfinite, self.box)) or x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            raise UserError(f"{said} reaches outside the picture, which is {width}x{height} pixels")
        if x1 - x0 < 1 or y1 - y0 < 1:
            raise UserError(f"{said} is empty or reversed; give left, top, right and bottom, at least 1 pixel apart")
        for x, y in self.on:
            if not (x0 <= x <= x1 and y0 <= y <= y1):
                raise UserError(f"the click {x:g},{y:g} is outside {said}; move the click or widen the box")


class Segmenter(ABC):
    """Finds the object that is clicked.

    ``source`` is the model's folder or hub name, or what is embedded; ``revision`` the hub's commit, None otherwise.
    """

    source: str
    revision: str | None

    @abstractmethod
    def open(self, photo: Image) -> Callable[[Clicks], Image]:
        """Prepare an RGB photo once; what is returned answers each set of clicks with a mask.

        A mask is an image of mode "L" and the photo's size, 255 on the object and 0 elsewhere. The answer raises
        UserError where clicks are wrong (``Clicks.check``) or no object is found.
        """
