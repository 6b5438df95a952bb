"""BERT's word pieces, as the text encoder of Rombach et al. (2022) reads them."""

from __future__ import annotations

from typing import Any

from photowords.backbones.text.encoder import TextEncoder


class Bert(TextEncoder):
    """Lower-cased word pieces between [CLS] and [SEP]. What its vocabulary lacks altogether is one [UNK] a word."""

    def __init__(self, name: str, model: Any, tokenizer: Any, *rest: Any) -> None:
        super().__init__(name, model, tokenizer, *rest)
        self.begin, self.end = (tokenizer.cls_token_id,), (tokenizer.sep_token_id,)

    def _whole_words(self) -> dict[str, int]:
        return {token: i for token, i in self._tokenizer.get_vocab().items() if not token.startswith("##")}
