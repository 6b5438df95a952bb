"""The user's own words."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers.fit import drop_words
from photowords.initializers.found import Found
from photowords.prompts import typed
from photowords.starts import Words


def words(how: Words, photos: Sequence[Image], backbone: Backbone, mask: Image | None = None) -> Found:
    """The user's sentence without ``how.drop``, and without a leading article (templates bring one) unless it is kept.

    Nothing else is changed but blanks and outer marks: "drawing of" and what the user typed twice stay, and the budget
    is for captions. Raises UserError as ``check``.
    """
    return Found(" ".join(drop_words(check(how), how.drop)))


def check(how: Words) -> list[str]:
    """The words. Raises UserError when there is none, and for braces, which name concepts in prompts."""
    if {"{", "}"} & {*how.words}:
        raise UserError(f"`words` is {how.words!r}, but braces name concepts in prompts; write the words alone")
    if not how.words.strip():
        raise UserError('`init` words needs the words; give them as `words`, such as "red tea kettle"')
    kept = typed(how.words, how.keep_article).split()
    if not kept:
        raise UserError(f'`words` is {how.words!r}, which holds no word to learn; write one, such as "red tea kettle"')
    return kept
