"""T5's encoder (Raffel et al. 2020): SentencePiece, no begin token."""

from __future__ import annotations

from typing import Any

from photowords.backbones.text.encoder import TextEncoder

SPACE = "▁"


class T5(TextEncoder):
    """Pieces that carry the white space before them, and an end token."""

    begin = ()

    def __init__(self, name: str, model: Any, tokenizer: Any, *rest: Any) -> None:
        super().__init__(name, model, tokenizer, *rest)
        self.end = (tokenizer.eos_token_id,)

    def _embedding(self, model: Any) -> Any:
        return model.encoder.embed_tokens  # transformers' own answer shares its weight, but is never called

    def _whole_words(self) -> dict[str, int]:
        vocabulary = self._tokenizer.get_vocab()
        return {token.removeprefix(SPACE): i for token, i in vocabulary.items() if token.startswith(SPACE)}

    def _continued(self, text: str) -> list[int]:
        # By itself "," is read as " ,", another token; after a letter it is not.
        letter, both = self.ids("x"), self.ids(f"x{text}")
        return both[len(letter) :] if both[: len(letter)] == letter else self.ids(text)
