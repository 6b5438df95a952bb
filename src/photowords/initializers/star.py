"""The papers' baselines: one "*", or as many as a caption has tokens."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.captioner import caption
from photowords.initializers.hint import Hint, Start


def star(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The vanilla start: a single "*"."""
    return Start("*")


def multi_star(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """``hint.count`` stars, or as many as the first photo's caption has tokens: the control for vector count."""
    if hint.count is not None:
        if hint.count < 1:
            raise UserError(f"the number of stars is {hint.count}, but it must be at least 1")
        return Start(" ".join("*" * hint.count))
    found = caption(photos, backbone, hint)
    return Start(" ".join("*" * len(backbone.tokenize(found.text))), found.provenance)
