"""Image (and a hint) + backbone -> the Concept at step 0. One file each, behind one function signature."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from PIL.Image import Image

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.align import align
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
    """The Concept at step 0: the words of the initializer's text, each starting at its own tokens' vectors.

    The provenance says how the text was found.

    Raises UserError for an unknown initializer, for a text that leaves no room for the templates, for words to drop
    that are not there, and when every word is frozen.
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

    provenance = {
        **found.provenance,
        **changes,
        "sentence": sentence,
        "init": init,
        "backbone": backbone.name,
        "backbone_revision": backbone.revision,
        "fingerprint": backbone.fingerprint,
        "step": 0,
    }
    return Concept(name, align(sentence, backbone, hint.freeze), provenance)
