"""Image (and a hint) + backbone -> the Concept at step 0. One file each, behind one function signature."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.concept import Concept, from_rows
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.captioner import caption
from photowords.initializers.classify import classify
from photowords.initializers.hint import Hint, Start
from photowords.initializers.star import multi_star, star
from photowords.initializers.words import words
from photowords.prompts import TEMPLATES

__all__ = ["INITIALIZERS", "Hint", "start"]

Initializer = Callable[[Sequence[Image], Backbone, Hint], Start]

INITIALIZERS: dict[str, Initializer] = {
    "caption": caption,
    "class": classify,
    "words": words,
    "star": star,
    "multi-star": multi_star,
}


def start(
    init: str, photos: Sequence[Image], backbone: Backbone, hint: Hint | None = None, name: str = "concept"
) -> Concept:
    """The Concept at step 0: a placeholder for each token of the initializer's text, starting at its own vector.

    Raises UserError for an unknown initializer, and for a text that leaves no room for the templates.
    """
    if init not in INITIALIZERS:
        raise UserError(f"initializer {init!r} is unknown; choose from {', '.join(INITIALIZERS)}")
    found = INITIALIZERS[init](photos, backbone, hint or Hint())
    tokens = backbone.tokenize(found.text)
    longest = max(len(backbone.tokenize(template.format(""))) for kind in TEMPLATES.values() for template in kind)
    room = backbone.context - 2 - longest
    if len(tokens) > room:
        raise UserError(
            f"the sentence {found.text!r} has {len(tokens)} tokens, but {backbone.name}'s text encoder has room for "
            f"{room} beside the templates; shorten it"
        )
    if unknown := backbone.unknown_words(found.text):
        warnings.warn(
            f"{backbone.name} has never seen {', '.join(map(repr, unknown))}", PhotowordsWarning, stacklevel=2
        )
    return from_rows(
        name,
        tokens,
        backbone.word_vectors(found.text),
        **found.provenance,
        sentence=found.text,
        init=init,
        backbone=backbone.name,
        backbone_revision=backbone.revision,
        fingerprint=backbone.fingerprint,
        step=0,
    )
