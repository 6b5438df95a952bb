"""Image (and a hint) + backbone -> the Concept at step 0. One file each, behind one function signature."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.concept import Concept, from_rows
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.align import align, learned_rows, shared_rows
from photowords.initializers.captioner import caption
from photowords.initializers.classify import classify
from photowords.initializers.controls import class_repeated, multi_star, other_caption, random_words, shuffled
from photowords.initializers.fit import check_room, fit
from photowords.initializers.hint import Hint, Start
from photowords.initializers.refiner import Refiner
from photowords.initializers.star import star
from photowords.initializers.words import words

__all__ = ["INITIALIZERS", "Hint", "Refiner", "start"]

Initializer = Callable[[Sequence[Image], Backbone, Hint], Start]

INITIALIZERS: dict[str, Initializer] = {
    "caption": caption,
    "class": classify,
    "words": words,
    "star": star,
    "multi-star": multi_star,
    "shuffled": shuffled,
    "random-words": random_words,
    "other-caption": other_caption,
    "class-repeated": class_repeated,
}
READ = ("caption", "class")
"""What a model read from the photo, to be fitted. The user's words and the controls' are taken as they are."""


def start(
    init: str, photos: Sequence[Image], backbone: Backbone, hint: Hint | None = None, name: str = "concept"
) -> Concept:
    """The Concept at step 0: a placeholder for each token of the initializer's text, starting at its own vector.

    The provenance says how the text was found, and in ``words`` each word with its first and last row.

    Raises UserError for an unknown initializer, for a text that leaves no room for the templates or that the text
    encoders split differently, and for words to drop or freeze that are not there.
    """
    hint = hint or Hint()
    if init not in INITIALIZERS:
        raise UserError(f"initializer {init!r} is unknown; choose from {', '.join(INITIALIZERS)}")

    # Photos and a hint become a text, and the text a sentence.
    found = INITIALIZERS[init](photos, backbone, hint)
    sentence, changes = found.text, {}
    if init in READ:
        fitted = fit(found.text, backbone, hint.budget, hint.drop)
        sentence, changes = fitted.text, {"fitting": list(fitted.notes)}
    check_room(sentence, backbone)
    if unknown := backbone.unknown_words(sentence):
        warnings.warn(
            f"{backbone.name} has never seen {', '.join(map(repr, unknown))}", PhotowordsWarning, stacklevel=2
        )

    # Each token of the sentence becomes a placeholder, learned unless its word is frozen.
    aligned = align(sentence, backbone)
    rows = shared_rows(aligned)
    return from_rows(
        name,
        backbone.tokenize(sentence),
        backbone.word_vectors(sentence),
        learned_rows(aligned, hint.freeze),
        **found.provenance,
        **changes,
        sentence=sentence,
        words=[[word.text, span.start, span.stop - 1] for word, span in zip(aligned, rows, strict=True)],
        init=init,
        backbone=backbone.name,
        backbone_revision=backbone.revision,
        fingerprint=backbone.fingerprint,
        step=0,
    )
