"""TextEncoder: a frozen text encoder, and the splice that puts learned vectors in the place of its tokens.

A forward hook on the embedding module swaps rows of its output. The vocabulary table never grows, is never copied
back, and never sees a gradient: the learned vectors are the only leaf.
"""

from __future__ import annotations

import re
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from photowords.concept import Embeddings, WordRef
from photowords.errors import PhotowordsWarning, UserError
from photowords.prompts import Piece


class TextEncoder(ABC):
    """One frozen text encoder. To add a kind, say where a sentence begins and ends and what a whole word is.

    Attributes:
        name: what concepts and files call it ("clip_l", "clip_g", "t5xxl", "bert").
        context: tokens that a prompt may have, begin and end included; shorter prompts are padded to it.
        width: of a word's vectors.
        begin, end: ids that stand around every prompt.
        recomputes: whether the backward pass runs it once more instead of keeping what it computed: it has to where the
            weights leave the device when it has run, and saves their memory. False at first.
        layers: whether the states of all layers are answered as well. False at first.
        cuts: whether it reads the beginning of a prompt that is too long for it, with a warning, since another one
            reads all of it. False at first: such a prompt is refused.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    recomputes: bool = False
    layers: bool = False
    cuts: bool = False

    def __init__(
        self, name: str, model: Any, tokenizer: Any, table: Tensor, context: int, device: torch.device
    ) -> None:
        """``table``: the word vectors as they are stored, (vocabulary, width); the model may compute in less."""
        self.name, self.context, self.device = name, context, device
        self._model, self._tokenizer, self._table = model, tokenizer, table
        self.width = table.shape[1]
        self._spliced = threading.local()  # what this thread's call puts in; other threads' calls do not see it
        self._embedding(model).register_forward_hook(self._splice)

    @property
    def special(self) -> int:
        """Tokens that stand around every prompt."""
        return len(self.begin) + len(self.end)

    @property
    def table(self) -> Tensor:
        """Its word vectors as they are stored, (vocabulary, width)."""
        return self._table

    def _embedding(self, model: Any) -> Any:
        """The module that turns token ids into vectors."""
        return model.get_input_embeddings()

    # --- words ---

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without begin and end."""
        found: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return found

    def word_vectors(self, text: str) -> Tensor:
        """The frozen vectors of a text's tokens, (tokens, width), float32."""
        return self._table[self.ids(text)].float()

    def vocabulary(self, known: frozenset[str] | None = None) -> tuple[list[str], Tensor]:
        """The whole words among the tokens and their vectors, (words, width), float32.

        A word is "a", or two or more of the letters a to z, that the tokenizer reads as one token: English words, and,
        where no list of ``known`` words is given, names and common endings as well. In the tokens' order.
        """
        whole = self._whole_words()
        named = [word for word in sorted(whole, key=whole.__getitem__) if re.fullmatch("a|[a-z]{2,}", word)]
        if known is not None:
            named = [word for word in named if word in known]
        # Of some tokens the tokenizer never makes use by itself: its merges lead past them.
        read = self._tokenizer(named, add_special_tokens=False).input_ids if named else []
        words = [word for word, ids in zip(named, read, strict=True) if ids == [whole[word]]]
        return words, self._table[[whole[word] for word in words]].float()

    @abstractmethod
    def _whole_words(self) -> dict[str, int]:
        """Token -> id of those tokens that stand for a whole word, without the tokenizer's own marks."""

    def _continued(self, text: str) -> list[int]:
        """Ids of a text that follows a learned word without white space: the comma of "{mug}, on the beach"."""
        return self.ids(text)

    # --- prompts ---

    def __call__(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Any:
        """transformers' output for the prompts: states (prompts, context, width), of every layer if ``layers``.

        ``embeddings[word][name]`` takes the place of a word's tokens and is differentiable. Raises UserError when a
        prompt is longer than the context, or, where it is cut, when a learned word would be.
        """
        ids, places, rows = self._lay_out(prompts, embeddings)
        spliced: tuple[Tensor, ...] = ()
        if rows:
            where = (torch.tensor(index, device=self.device) for index in zip(*places, strict=True))
            spliced = (*where, torch.cat([embeddings[ref][self.name].to(self.device) for ref in rows]))
        given = (ids.to(self.device), *spliced)
        if self.recomputes and torch.is_grad_enabled():
            return checkpoint(self._run_spliced, *given, use_reentrant=False)
        return self._run_spliced(*given)

    def _run_spliced(self, ids: Tensor, *spliced: Tensor) -> Any:
        """``_run`` with learned rows in their places: prompts, positions, rows (places,) each, and their table."""
        self._spliced.now = spliced
        try:
            return self._run(ids)
        finally:
            self._spliced.now = ()

    def _run(self, ids: Tensor) -> Any:
        """transformers' output for token ids (prompts, context)."""
        return self._model(ids, output_hidden_states=self.layers, return_dict=True)

    def _splice(self, module: object, inputs: object, output: Tensor) -> Tensor | None:
        if not (now := getattr(self._spliced, "now", ())):
            return None
        prompt, place, row, table = now
        return output.index_put((prompt, place), table[row].to(output.dtype))

    def _lay_out(
        self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings
    ) -> tuple[Tensor, list[tuple[int, int, int]], dict[WordRef, int]]:
        """Token ids (prompts, context); where learned rows go, (prompt, place, row); and each word's first row."""
        ids = torch.full((len(prompts), self.context), self._tokenizer.pad_token_id, dtype=torch.long)
        places: list[tuple[int, int, int]] = []
        rows: dict[WordRef, int] = {}
        below = 0
        for number, prompt in enumerate(prompts):
            line = [*self.begin]
            for before, piece in zip([None, *prompt], prompt, strict=False):
                if isinstance(piece, str):
                    joined = isinstance(before, WordRef) and not piece[:1].isspace()
                    line.extend(self._continued(piece) if joined else self.ids(piece))
                    continue
                tokens = len(embeddings[piece][self.name])
                if tokens and piece not in rows:
                    rows[piece], below = below, below + tokens
                places += [(number, len(line) + k, rows[piece] + k) for k in range(tokens)]
                line.extend([self._stand_in] * tokens)
            if len(line) + len(self.end) > self.context:
                self._cut(line, max((place for prompt, place, _ in places if prompt == number), default=0))
            line.extend(self.end)
            ids[number, : len(line)] = torch.tensor(line)
        return ids, places, rows

    def _cut(self, line: list[int], last: int) -> None:
        """Take off what an encoder that ``cuts`` does not read; ``last`` is where the last learned row stands."""
        told, most = len(line) - len(self.begin), self.context - self.special
        if not self.cuts:
            raise UserError(
                f"the prompt has {told} tokens, but the model's text encoder reads at most {most}; shorten the prompt "
                "or use a concept of fewer words"
            )
        if last >= most + len(self.begin):
            raise UserError(
                f"the prompt has {told} tokens, of which {self.name} reads the first {most}, and the concept stands "
                "behind them; move it to the front"
            )
        warnings.warn(
            f"{self.name} reads the first {most} of the prompt's {told} tokens; the other text encoder reads all",
            PhotowordsWarning,
            stacklevel=4,
        )
        del line[most + len(self.begin) :]

    @property
    def _stand_in(self) -> int:
        """The id that a learned row stands on: one that no part of the encoder looks for."""
        return self.begin[0] if self.begin else self.end[0]
