"""Photos + a start + backbone -> the Concept at step 0. One file each, behind one function signature."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image

from photowords import images
from photowords.backbones import Backbone
from photowords.backbones.familiar import warn_of_strangers
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.align import align, cut
from photowords.initializers.captioner import caption
from photowords.initializers.classify import classify
from photowords.initializers.controls import (
    class_repeated,
    multi_star,
    other_caption,
    random_vectors,
    random_words,
    shuffled,
)
from photowords.initializers.fit import check_room, fit_as
from photowords.initializers.found import Found
from photowords.initializers.noise import with_noise
from photowords.initializers.star import star
from photowords.initializers.words import words
from photowords.starts import (
    Caption,
    Class,
    ClassRepeated,
    MultiStar,
    OtherCaption,
    RandomVectors,
    RandomWords,
    Shuffled,
    Star,
    Start,
    Worded,
    Words,
    of,
)

__all__ = ["INITIALIZERS", "Found", "start"]

Initializer = Callable[[Any, Sequence[Image], Backbone, Image | None], Found]
"""(start, photos, backbone, mask of the first photo) -> its text; the start is of the class it stands beside."""

INITIALIZERS: dict[type[Start], Initializer] = {
    Caption: caption,
    Class: classify,
    Words: words,
    Star: star,
    MultiStar: multi_star,
    RandomVectors: random_vectors,
    Shuffled: shuffled,
    RandomWords: random_words,
    OtherCaption: other_caption,
    ClassRepeated: class_repeated,
}


def start(
    init: Start | str,
    photos: Sequence[Image],
    backbone: Backbone,
    name: str = "concept",
    mask: Image | None = None,
) -> Concept:
    """The Concept at step 0: the words of the start's text, each starting at its own tokens' vectors.

    ``init`` is a start with its options (``Caption(candidates=5)``) or the name of one (``"caption"``). ``mask``, of
    the first photo (mode "L", its size, 255 on the thing to describe), is what captioner and classifier are shown.
    The provenance says how the text was found.

    Warns of photos and words that the backbone is known not to know. Raises UserError for an unknown start, for one
    that reads the photo and gets none, for a text that leaves no room for the templates, for words to drop that are not
    there, and when every word is frozen.
    """
    how = of(init)() if isinstance(init, str) else init
    photos = [images.as_rgb(photo) for photo in photos]  # a reader takes what it is shown as it is
    if how.readers() and not photos:
        raise UserError(f"`init` {how.init} reads the photo, and none was given; one is enough")
    warn_of_strangers(backbone, photos, [mask])

    # Photos and a start become a text. What a model read is fitted; the user's words and the controls' stay.
    found = INITIALIZERS[type(how)](how, photos, backbone, mask)
    sentence, changes = found.text, {}
    if isinstance(how, Caption | Class):
        fitted = fit_as(how, found.text, backbone)
        sentence, changes = fitted.text, {"fitting": list(fitted.notes)}
    if isinstance(how, Caption):
        noisy = with_noise(how, sentence, backbone)
        sentence, changes = noisy.text, {**changes, **noisy.provenance}
    check_room(sentence, backbone)
    if unknown := backbone.unknown_words(sentence):
        warnings.warn(
            f"{backbone.name} has never seen {', '.join(map(repr, unknown))}", PhotowordsWarning, stacklevel=2
        )

    provenance = {
        **found.provenance,
        **changes,
        **({"tokens": dict(found.counts)} if found.counts else {}),
        "sentence": sentence,
        "init": how.init,
        "backbone": backbone.name,
        "backbone_revision": backbone.revision,
        "fingerprint": backbone.fingerprint,
        "pipeline": backbone.kind,
        "prediction_type": backbone.objective.prediction_type,
        "picture_size": backbone.picture_size,
        "step": 0,
    }
    words = found.words or align(sentence, backbone, how.freeze if isinstance(how, Worded) else ())
    return Concept(name, cut(words, found.counts) if found.counts else words, provenance)
