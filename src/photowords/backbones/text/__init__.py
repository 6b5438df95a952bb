"""Frozen text encoders: tokenizer, word vectors and the splice as one thing, a small file for each kind."""

from photowords.backbones.text.bert import Bert
from photowords.backbones.text.clip import Clip
from photowords.backbones.text.encoder import TextEncoder
from photowords.backbones.text.t5 import T5

__all__ = ["T5", "Bert", "Clip", "TextEncoder"]
