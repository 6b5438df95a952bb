"""Builds the pocket model's vocabulary: a real byte-level BPE in which every word of the world is one token.

The merges are learnt on the world's own words until each is a single token; the 256 bytes below them
make any other text tokenise as well, in pieces.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter

from transformers import CLIPTokenizer

from photowords.templates import templates
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.sprites import EMBLEMS, OBJECTS, PATTERNS, TONES
from recipes.pocket.world import HUES

CONTEXT = 32  # tokens, begin and end included
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
TEMPLATES = templates("object") + templates("style")

_EXTRA = "plain two - tone base with a an the and thing object *"
_END_OF_WORD = "</w>"
Pair = tuple[str, str]


def known_words() -> list[str]:
    """Every word of the world's captions and of the templates, sorted, each once."""
    phrases = [*OBJECTS, *HUES, *TONES, *PATTERNS, *EMBLEMS, *SCENES.values(), *STYLES.values(), *TEMPLATES, _EXTRA]
    return sorted({word for phrase in phrases for word in re.findall(r"[a-z]+|[-*]", phrase.lower())})


def byte_characters() -> list[str]:
    """CLIP's printable stand-ins for the 256 bytes, in CLIP's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + k) for k in range(others)]


def learn_merges(words: list[str]) -> list[Pair]:
    """The byte-pair merges, in order, that make one token of every word.

    The most frequent pair is merged first, ties alphabetically, as in any BPE: whoever applies the
    merges in this order arrives at the same tokens.
    """
    split = [[*word[:-1], word[-1] + _END_OF_WORD] for word in words]
    merges: list[Pair] = []
    while counts := Counter(pair for parts in split for pair in itertools.pairwise(parts)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        split = [_merged(parts, best) for parts in split]
    return merges


def _merged(parts: list[str], pair: Pair) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


@functools.lru_cache(maxsize=1)
def tokenizer() -> CLIPTokenizer:
    """The tokenizer: lower-cases, pads with the end token as Stable Diffusion 1's does, 32 tokens at most."""
    merges = learn_merges(known_words())
    characters = byte_characters()
    # Two ways to merge can give one token, so the tokens are made unique; their order is kept.
    tokens = dict.fromkeys(characters + [c + _END_OF_WORD for c in characters] + ["".join(pair) for pair in merges])
    vocabulary = {token: number for number, token in enumerate([*tokens, BEGIN, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)
