"""From a sentence to the words of a concept, each with the vectors of its own tokens in every text encoder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from photowords.backbones import Backbone
from photowords.concept import Word
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.fit import STOPWORDS, find_phrase
from photowords.naming import key


def align(sentence: str, backbone: Backbone, freeze: Sequence[str] = ()) -> tuple[Word, ...]:
    """The words of a sentence, trainable unless they are to ``freeze``.

    Words stand between white space, across which no tokenizer joins, so the tokens of the sentence are those of its
    words, one after the other; each text encoder may split a word in its own way.

    Raises UserError for a word that no text encoder has a token for, and when nothing would be learned.
    """
    texts = sentence.split()
    frozen = _frozen(texts, freeze)
    words = []
    for place, text in enumerate(texts):
        vectors = {name: encoder.word_vectors(text) for name, encoder in backbone.text_encoders.items()}
        if not any(len(table) for table in vectors.values()):
            raise UserError(f"{backbone.name} reads nothing in {text!r} of {sentence!r}; leave it out")
        words.append(Word(text, vectors, place not in frozen))
    return tuple(words)


def cut(words: Sequence[Word], counts: Mapping[str, int]) -> tuple[Word, ...]:
    """The words with the first ``counts`` of their tokens in each text encoder, as many of them as still have one."""
    left, kept = dict(counts), []
    for word in words:
        vectors = {name: table[: left[name]] for name, table in word.vectors.items()}
        left = {name: left[name] - len(table) for name, table in vectors.items()}
        if any(len(table) for table in vectors.values()):
            kept.append(Word(word.text, vectors, word.trainable))
    return tuple(kept)


def _frozen(texts: Sequence[str], freeze: Sequence[str]) -> set[int]:
    """Places of the words and phrases to freeze.

    "stopwords" stands for all the little words that the sentence has. A word that is not there is warned about: one
    list serves many photos.
    """
    frozen: set[int] = set()
    for phrase in freeze:
        if key(phrase) == "stopwords":
            frozen |= {place for place, text in enumerate(texts) if key(text) in STOPWORDS}
        elif places := find_phrase(phrase, texts):
            frozen |= set(places)
        else:
            warnings.warn(f"there is no {phrase!r} to freeze in {' '.join(texts)!r}", PhotowordsWarning, stacklevel=2)
    if len(frozen) == len(texts):
        raise UserError(f"every word of {' '.join(texts)!r} is frozen; leave at least one to learn")
    return frozen
