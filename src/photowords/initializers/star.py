"""The papers' baseline: one "*"."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.initializers.hint import Hint, Start


def star(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The vanilla start: a single "*"."""
    return Start("*")
