"""What an initializer answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from photowords.concept import Word


@dataclass(frozen=True)
class Found:
    """The text whose words are learned, and what is worth remembering of how it was found.

    Attributes:
        text: the sentence, or what is still to be fitted to one.
        provenance: plain JSON values.
        words: in place of a text, where vectors start at those of no token.
        counts: text encoder -> the most tokens that all words may have there; the last ones are cut. Empty for no
            limit.
    """

    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[Word, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
