"""Concept and Placeholder: what an inversion starts from and what it ends with. Both are immutable."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from photowords.errors import UserError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, eq=False)
class Placeholder:
    """One token of the sentence.

    Attributes:
        word: the text of the token that it started from ("striped"; "" when a foreign file does not say).
        vectors: text encoder's name -> its vector, (width,), float32 on the CPU.
        learned: False for a word that optimisation left alone.
    """

    word: str
    vectors: Mapping[str, Tensor]
    learned: bool = True

    def __post_init__(self) -> None:
        for encoder, vector in self.vectors.items():
            if vector.ndim != 1:
                raise ValueError(f"a placeholder's vector is 1-D, but {encoder} has {tuple(vector.shape)}")
        kept = {encoder: v.detach().to("cpu", torch.float32).clone() for encoder, v in self.vectors.items()}
        object.__setattr__(self, "vectors", kept)


@dataclass(frozen=True, eq=False)
class Concept:
    """An ordered list of placeholders, with where it came from.

    Attributes:
        name: how prompts call it: ``{mug}``.
        placeholders: in the order of the sentence, at least one.
        provenance: plain JSON values: backbone, its fingerprint, photos' hashes, caption, captioner,
            settings, seed, step, scores. Empty for files that do not say.
    """

    name: str
    placeholders: tuple[Placeholder, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UserError(
                f"the concept's name {self.name!r} cannot be used in a prompt; "
                "use letters, digits, '-' and '_', beginning with a letter"
            )
        if not self.placeholders:
            raise ValueError("a concept has at least one placeholder")
        object.__setattr__(self, "provenance", dict(self.provenance))
        if len({tuple(p.vectors) for p in self.placeholders}) != 1:
            raise ValueError("every placeholder of a concept has a vector for the same text encoders")

    def __len__(self) -> int:
        return len(self.placeholders)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the placeholders started from."""
        return tuple(p.word for p in self.placeholders)

    @property
    def sentence(self) -> str:
        """The sentence that the placeholders started from; "" when a foreign file does not say."""
        return str(self.provenance.get("sentence") or " ".join(self.words).strip())

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the text encoders that the concept has vectors for."""
        return tuple(self.placeholders[0].vectors)

    def vectors(self, encoder: str) -> Tensor:
        """All vectors for one text encoder, (placeholders, width), float32."""
        return torch.stack([p.vectors[encoder] for p in self.placeholders])

    def with_vectors(self, vectors: Mapping[str, Tensor], **provenance: Any) -> Concept:
        """The same sentence with other vectors, (placeholders, width) for each encoder, and more provenance."""
        moved = tuple(
            dataclasses.replace(p, vectors={encoder: rows[i] for encoder, rows in vectors.items()})
            for i, p in enumerate(self.placeholders)
        )
        return dataclasses.replace(self, placeholders=moved, provenance={**self.provenance, **provenance})

    def names(self) -> list[str]:
        """The placeholders' names: "<0>", "<1>", ..."""
        return [f"<{i}>" for i in range(len(self))]


def from_rows(
    name: str,
    words: Sequence[str],
    rows: Mapping[str, Tensor],
    learned: Sequence[bool] | None = None,
    /,
    **provenance: Any,
) -> Concept:
    """A concept from its words and, for each encoder, their vectors, (words, width).

    ``learned`` says of each word whether optimisation may move it; None is all of them.
    """
    moves = learned or [True] * len(words)
    placeholders = tuple(
        Placeholder(word, {encoder: table[i] for encoder, table in rows.items()}, moves[i])
        for i, word in enumerate(words)
    )
    return Concept(name, placeholders, provenance)
