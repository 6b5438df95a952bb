"""What an initializer is told, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Hint:
    """What the user says beside the photo.

    Attributes:
        words: the sentence, for ``words``.
        count: how many stars, for ``multi-star``; None is as many as the photo's caption has tokens.
        captioner, classifier: folder or hub name of the reader; None is the backbone's own choice.
    """

    words: str | None = None
    count: int | None = None
    captioner: str | None = None
    classifier: str | None = None


@dataclass(frozen=True)
class Start:
    """The text whose tokens become placeholders, and what is worth remembering of how it was found."""

    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
