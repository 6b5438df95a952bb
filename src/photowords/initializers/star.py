"""The papers' baseline: one "*"."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.initializers.found import Found
from photowords.starts import Star


def star(how: Star, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The vanilla start: a single "*"."""
    return Found("*")
