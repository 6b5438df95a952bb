"""Cosines between embeddings of pictures and texts: CLIP's and DINO's scores, one number for each picture.

Embeddings are of unit length, so that a product is a cosine.
"""

from __future__ import annotations

import re

from torch import Tensor

_NAMED = re.compile(r"\{[^{}]*\}|<[^<>\s]*>|\*")


def to_images(pictures: Tensor, sources: Tensor) -> Tensor:
    """Each picture's mean cosine to every source, (n, d) and (m, d) -> (n,); its mean is that over *all* pairs.

    With CLIP this is Gal et al.'s (2022) reconstruction score and DreamBench's CLIP-I, with DINO its DINO score.
    In [-1, 1], higher is more alike; the order of either set does not matter.
    """
    return (pictures @ sources.T).mean(1)


def to_text(pictures: Tensor, text: Tensor) -> Tensor:
    """Each picture's cosine to a text, (n, d) and (1, d) or (n, d) -> (n,).

    With CLIP this is Gal et al.'s (2022) editability score, for a text without its placeholders, and DreamBench's
    CLIP-T. In [-1, 1] (in practice below 0.4), higher fits better.
    """
    return (pictures * text).sum(1)


def without_placeholders(prompt: str, said: str = "") -> str:
    """A prompt without its concepts ({name}, <name>, *), as Gal et al.'s evaluation gives it to CLIP.

    ``said`` stands where they stood: DreamBench's class word, or nothing. Double spaces are cleaned.
    """
    return " ".join(_NAMED.sub(f" {said} ", prompt).split())


def word_swap(swapped: Tensor, unswapped: Tensor, alone: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Whether a swapped word shows and the rest stays, for each seed, (n,) bool.

    Args:
        swapped: CLIP embeddings (n, d) of pictures of the concept with the new word in the place of the old.
        unswapped: of the concept itself, same prompt and same seeds.
        alone: of the same prompt and seeds with the new word alone where the concept stood.
        new, old: (d,) of the concept's sentence with the new and with the old word.

    The new word *shows* when the swapped picture is nearer to the sentence with it than to that with the old one.
    The rest *stays* when it is nearer to the unswapped picture than to the one that the new word draws without the
    concept: so the concept has left more in it than the word itself would bring. No published metric.
    """
    shows = swapped @ new > swapped @ old
    stays = to_text(swapped, unswapped) > to_text(swapped, alone)
    return shows & stays
