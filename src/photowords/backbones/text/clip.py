"""CLIP's text encoders (Radford et al. 2021; OpenCLIP's in the same format)."""

from __future__ import annotations

from typing import Any

from photowords.backbones.text.encoder import TextEncoder


class Clip(TextEncoder):
    """Byte-level pairs, a begin and an end token.

    A learned row stands on the begin token's id, which is lower than the end token's: encoders that find the end of a
    sentence by the largest id (legacy configurations) still find it, which ids above the vocabulary would break.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, *rest: Any) -> None:
        super().__init__(name, model, tokenizer, *rest)
        self.begin, self.end = (tokenizer.bos_token_id,), (tokenizer.eos_token_id,)

    def _whole_words(self) -> dict[str, int]:
        vocabulary = self._tokenizer.get_vocab()
        return {token.removesuffix("</w>"): i for token, i in vocabulary.items() if token.endswith("</w>")}
