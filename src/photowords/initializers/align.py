"""From the words of a sentence to the rows of its placeholders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.fit import STOPWORDS, find_phrase, key


@dataclass(frozen=True)
class Word:
    """A word of a sentence, and text encoder's name -> the rows of its tokens."""

    text: str
    rows: dict[str, range]


def align(text: str, backbone: Backbone) -> list[Word]:
    """Which tokens each word of a text is, in every text encoder of the backbone.

    Words stand between white space, across which no tokenizer joins: a word's tokens are those that it adds.
    """
    words = text.split()
    ends = {
        encoder: [len(backbone.tokenize(" ".join(words[:i]), encoder)) for i in range(len(words) + 1)]
        for encoder in backbone.encoders
    }
    return [
        Word(word, {encoder: range(end[i], end[i + 1]) for encoder, end in ends.items()})
        for i, word in enumerate(words)
    ]


def shared_rows(words: Sequence[Word]) -> list[range]:
    """Each word's rows, the same in every text encoder. Raises UserError for a word that encoders split differently."""
    # A placeholder has one vector for each encoder. Where one encoder has fewer tokens, the missing vectors would have
    # to be made up, and step 0 would no longer be the plain sentence, on which every comparison rests. So it is
    # refused; the CLIP encoders of one model share a vocabulary and never differ.
    for word in words:
        if len(set(word.rows.values())) != 1:
            counts = ", ".join(f"{len(rows)} by {encoder}" for encoder, rows in word.rows.items())
            raise UserError(
                f"the word {word.text!r} is split into different numbers of tokens ({counts}), but a placeholder has "
                "one vector for each; use another word with --words"
            )
    return [next(iter(word.rows.values())) for word in words]


def learned_rows(words: Sequence[Word], freeze: Sequence[str]) -> list[bool]:
    """For each row of a sentence, whether it is learned: those of the words and phrases to ``freeze`` are not.

    "stopwords" stands for all the little words that the sentence has. A word that is not there is warned about: one
    list serves many photos. Raises UserError when nothing would be learned.
    """
    texts = [word.text for word in words]
    frozen: set[int] = set()
    for phrase in freeze:
        if key(phrase) == "stopwords":
            frozen |= {place for place, text in enumerate(texts) if key(text) in STOPWORDS}
        elif places := find_phrase(phrase, texts):
            frozen |= set(places)
        else:
            warnings.warn(f"there is no {phrase!r} to freeze in {' '.join(texts)!r}", PhotowordsWarning, stacklevel=2)
    learned = [place not in frozen for place, span in enumerate(shared_rows(words)) for _ in span]
    if not any(learned):
        raise UserError(f"every word of {' '.join(texts)!r} is frozen; leave at least one to learn")
    return learned
