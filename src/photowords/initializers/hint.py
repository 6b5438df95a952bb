"""What an initializer is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from photowords.initializers.refiner import Refiner


@dataclass(frozen=True)
class Hint:
    """What the user says beside the photo.

    Attributes:
        words: the sentence, for ``words``.
        count: how many stars, for ``multi-star``; None is as many as the photo's caption has tokens.
        captioner, classifier: folder or hub name of the reader; None is the backbone's own choice.
        mask: of the first photo: mode "L", its size, 255 on the thing to describe; None is the whole photo.
        candidates: captions to ask for; above 1, the one most like the picture by ``reranker`` is taken.
        reranker: folder or hub name of a CLIP; None is the backbone's own choice.
        labels: words to choose from; with them the classifier is a zero-shot CLIP.
        refiner: shortens or restyles the caption; None leaves it as it is.
        budget: tokens that the sentence may have.
        drop, freeze: words to leave out, and words to keep in but not to learn; "stopwords" freezes the little words.
        seed: of the random controls and of sampled candidates.
        other: the picture that ``other-caption`` describes; None is a drawing of the bundled bank.
    """

    words: str | None = None
    count: int | None = None
    captioner: str | None = None
    classifier: str | None = None
    mask: Image | None = None
    candidates: int = 1
    reranker: str | None = None
    labels: tuple[str, ...] = ()
    refiner: Refiner | None = None
    budget: int = 16
    drop: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    seed: int = 0
    other: Image | None = None


@dataclass(frozen=True)
class Start:
    """The text whose words are learned, and what is worth remembering of how it was found."""

    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
