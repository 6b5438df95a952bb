"""Word and Concept: what an inversion starts from and what it ends with. Both are immutable."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from photowords.errors import UserError
from photowords.settings import check_name
from photowords.templates import EXAMPLES, PROPERTIES


class WordRef(NamedTuple):
    """A word of a concept, as prompts name it: the concept's name and the word's place in the sentence."""

    concept: str
    word: int


Embeddings = Mapping[WordRef, Mapping[str, Tensor]]
"""What stands for words in prompts: word -> text encoder's name -> the vectors of its tokens there, (tokens, width)."""


@dataclass(frozen=True, eq=False)
class Word:
    """One word of the sentence. One token of it, in each text encoder, is one vector.

    Attributes:
        text: the word that it started from ("striped"; "" when a foreign file does not say).
        vectors: text encoder's name -> the vectors of its tokens there, (tokens, width), float32 on the CPU. Encoders
            may split a word differently, so each has its own number of tokens.
        trainable: False for a word that optimisation leaves alone.
    """

    text: str
    vectors: Mapping[str, Tensor]
    trainable: bool = True

    def __post_init__(self) -> None:
        for encoder, vectors in self.vectors.items():
            if vectors.ndim != 2:
                raise ValueError(f"a word's vectors are (tokens, width), but {encoder} has {tuple(vectors.shape)}")
        kept = {encoder: v.detach().to("cpu", torch.float32).clone() for encoder, v in self.vectors.items()}
        object.__setattr__(self, "vectors", kept)

    def tokens(self, encoder: str) -> int:
        """How many tokens, and so vectors, the word has in a text encoder."""
        return len(self.vectors[encoder])


@dataclass(frozen=True, eq=False)
class Concept:
    """An ordered list of words, with where it came from.

    Attributes:
        name: how prompts call it: ``{mug}``.
        words: in the order of the sentence, at least one.
        provenance: plain JSON values: backbone, its fingerprint, photos' hashes, caption, captioner,
            settings, seed, step, scores. Empty for files that do not say.
    """

    name: str
    words: tuple[Word, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.words:
            raise ValueError("a concept has at least one word")
        object.__setattr__(self, "provenance", dict(self.provenance))
        if len({tuple(word.vectors) for word in self.words}) != 1:
            raise ValueError("every word of a concept has vectors for the same text encoders")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def texts(self) -> tuple[str, ...]:
        """The words that it started from."""
        return tuple(word.text for word in self.words)

    @property
    def sentence(self) -> str:
        """The sentence that it started from; "" when a foreign file does not say."""
        return str(self.provenance.get("sentence") or " ".join(self.texts).strip())

    @property
    def learnable_property(self) -> str:
        """What it was learned as, "object" or "style"; "object" for files that do not say."""
        settings = self.provenance.get("settings")
        told = settings.get("learnable_property") if isinstance(settings, Mapping) else None
        return told if told in PROPERTIES else PROPERTIES[0]

    @property
    def resize(self) -> str:
        """How its photos became squares, "crop" or "squash"; "crop" for files that do not say."""
        settings = self.provenance.get("settings")
        return "squash" if isinstance(settings, Mapping) and settings.get("resize") == "squash" else "crop"

    @property
    def photos_sha256(self) -> tuple[str, ...]:
        """Of the files that it was learned from; none for files that do not say."""
        told = self.provenance.get("photos_sha256")
        return tuple(map(str, told)) if isinstance(told, list | tuple) else ()

    def example(self, phrase: str) -> str:
        """A prompt to begin with, in which the phrase stands for the concept."""
        return EXAMPLES[self.learnable_property].format(phrase)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the text encoders that the concept has vectors for."""
        return tuple(self.words[0].vectors)

    @property
    def refs(self) -> tuple[WordRef, ...]:
        """Its words as prompts name them, in order."""
        return tuple(WordRef(self.name, i) for i in range(len(self)))

    @property
    def names(self) -> tuple[str, ...]:
        """The words' names on paper: "<0>", "<1>", ..."""
        return tuple(f"<{i}>" for i in range(len(self)))

    def sizes(self, encoder: str) -> list[int]:
        """How many tokens each word has in a text encoder."""
        return [word.tokens(encoder) for word in self.words]

    def vectors(self, encoder: str) -> Tensor:
        """All words' vectors for one text encoder, one below the other: (rows, width), float32."""
        return torch.cat([word.vectors[encoder] for word in self.words])

    def trainable_rows(self, encoder: str) -> Tensor:
        """Which rows of ``vectors`` optimisation may move, (rows, 1) booleans."""
        rows = [word.trainable for word in self.words for _ in range(word.tokens(encoder))]
        return torch.tensor(rows, dtype=torch.bool).view(-1, 1)

    def embeddings(self, vectors: Mapping[str, Tensor] | None = None) -> Embeddings:
        """The concept's words as a prompt's encoding takes them.

        ``vectors``, (rows, width) for each encoder as ``vectors`` gives them, stand for its own; gradients flow back
        into them.
        """
        tables = vectors or {encoder: self.vectors(encoder) for encoder in self.encoders}
        split = {encoder: table.split(self.sizes(encoder)) for encoder, table in tables.items()}
        return {ref: {encoder: parts[ref.word] for encoder, parts in split.items()} for ref in self.refs}

    def with_vectors(self, vectors: Mapping[str, Tensor], **provenance: Any) -> Concept:
        """The same sentence with other vectors, (rows, width) for each encoder, and more provenance."""
        moved = self.embeddings(vectors)
        words = tuple(
            dataclasses.replace(word, vectors=moved[ref]) for word, ref in zip(self.words, self.refs, strict=True)
        )
        return dataclasses.replace(self, words=words, provenance={**self.provenance, **provenance})


def embeddings(concepts: Sequence[Concept]) -> Embeddings:
    """The words of several concepts, for prompts that name them. Raises UserError when two have one name."""
    found: dict[WordRef, Mapping[str, Tensor]] = {}
    for concept in concepts:
        if concept.refs[0] in found:
            raise UserError(f"two concepts are called {concept.name}; rename one (on the command line: NEWNAME=FILE)")
        found.update(concept.embeddings())
    return found
