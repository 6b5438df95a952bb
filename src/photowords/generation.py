"""Backbone + concepts + prompt + seeds -> pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from operator import index

import torch
from PIL.Image import Image

from photowords import images
from photowords.backbones import Backbone
from photowords.concept import Concept, embeddings
from photowords.errors import PhotowordsWarning, UserError
from photowords.prompts import named, parse
from photowords.settings import GenerateSettings


@torch.no_grad()
def generate(
    backbone: Backbone,
    prompt: str,
    concepts: Sequence[Concept] = (),
    seeds: Sequence[int] = (0,),
    settings: GenerateSettings | None = None,
) -> list[Image]:
    """One picture for each seed. ``{name}`` in the prompt is a concept, ``{name:old=new}`` one with a word swapped.

    Warns of words that the model is known never to have seen, and of concepts that the prompt does not name.
    Raises UserError for a prompt that names an unknown concept or word, or is longer than the context,
    for a concept made for another model, for settings that the model cannot be sampled with, and for no seeds or such
    as are not in 0 ... 2**32 - 1.
    """
    try:
        numbers = [index(seed) for seed in seeds]
    except TypeError:  # a fraction, a text, or a number alone
        numbers = []
    if not numbers or not all(0 <= seed < 2**32 for seed in numbers):  # torch uses 32 bits of a seed
        told = list(seeds) if isinstance(seeds, Iterable) else seeds
        raise UserError(f"`seeds` are {told}, but there must be at least one, each a whole number from 0 to 2**32 - 1")
    settings = backbone.settle(settings or GenerateSettings())
    learned, given = embeddings(concepts), {concept.name: concept for concept in concepts}
    for concept in concepts:
        backbone.check(concept)
    pieces, unwanted = parse(prompt, given), parse(settings.negative, given)
    text = " ".join(piece for piece in [*pieces, *unwanted] if isinstance(piece, str))
    if unknown := backbone.unknown_words(text):
        warnings.warn(
            f"{backbone.name} has never seen {', '.join(map(repr, unknown))}", PhotowordsWarning, stacklevel=2
        )
    for name in sorted(given.keys() - named(prompt) - named(settings.negative)):
        warnings.warn(f"the prompt does not name {{{name}}}", PhotowordsWarning, stacklevel=2)
    conditioning = backbone.encode_prompt([pieces], learned)
    negative = backbone.encode_negative_prompt(unwanted, learned)
    return images.to_pil(backbone.sample(conditioning, negative, numbers, settings))
