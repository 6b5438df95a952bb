"""The user's own words."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.fit import drop_words
from photowords.initializers.hint import Hint, Start
from photowords.prompts import sentence


def words(photos: Sequence[Image], backbone: Backbone, hint: Hint) -> Start:
    """The user's sentence, without a leading article (the templates bring one) and without ``hint.drop``.

    Nothing else is changed: what the user typed twice stays twice, and the budget is for captions. Raises UserError
    when there is none.
    """
    if not (hint.words or "").strip():
        raise UserError('--init words needs the words: add --words "red tea kettle"')
    return Start(" ".join(drop_words(sentence(hint.words or "").split(), hint.drop)))
