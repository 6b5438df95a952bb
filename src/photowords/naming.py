"""How swaps name a concept's words: each by itself where nothing else could be meant, or by its place, "<2>"."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

SYNTAX = re.compile(r"[{}=,<>]")
"""What swaps are written with, so that no word of one can hold it."""
EDGES = string.punctuation + "«»„“”‘’–—、。，！？"
"""What stands around a word and is none of it."""
AROUND = " .,;:!\"'"
"""What stands around a whole sentence and is none of it; inside it a comma is learned."""


def bare(word: str) -> str:
    """A word without outer punctuation, which a swap leaves where it is."""
    return word.strip(EDGES)


def key(word: str) -> str:
    """A word as it is compared: without case and outer punctuation, its accents composed."""
    return bare(unicodedata.normalize("NFC", word)).casefold()


def called(place: int, texts: Sequence[str]) -> str:
    """How a swap names a word of a sentence: by itself where nothing else in it could be meant, else by its place."""
    word = bare(texts[place])
    plain = not SYNTAX.search(word) and runs(texts, word) == [range(place, place + 1)]
    return word if plain else f"<{place}>"


def runs(texts: Sequence[str], phrase: str) -> list[range]:
    """Where a phrase stands among a concept's words."""
    wanted, *words = ["".join(key(word) or word for word in text.split()) for text in (phrase, *texts)]
    spans = [range(first, last) for first in range(len(words)) for last in range(first + 1, len(words) + 1)]
    return [span for span in spans if wanted and "".join(words[span.start : span.stop]) == wanted]
