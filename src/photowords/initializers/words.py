"""The user's own words."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.hint import Hint, Start
from photowords.prompts import sentence


def words(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The user's sentence, without a leading article (the templates bring one). Raises UserError when there is none."""
    if not (hint.words or "").strip():
        raise UserError('--init words needs the words: add --words "red tea kettle"')
    return Start(sentence(hint.words or ""))
