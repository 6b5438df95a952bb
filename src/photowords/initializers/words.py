"""The user's own words."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.hint import Hint, Start


def words(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The sentence that the user wrote, as it is. Raises UserError when there is none."""
    text = " ".join((hint.words or "").split())
    if not text:
        raise UserError('--init words needs the words: add --words "red tea kettle"')
    return Start(text)
