"""Backbone + concepts + prompt + seeds -> pictures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import images
from photowords.backbones import Backbone
from photowords.concept import Concept
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
    and for a concept made for another model.
    """
    settings = settings or GenerateSettings()
    if settings.steps >= backbone.timesteps:
        raise UserError(
            f"steps is {settings.steps}, but {backbone.name} was trained with {backbone.timesteps}; use fewer"
        )
    given = by_name(concepts)
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
    conditioning = backbone.condition([pieces], joined(backbone, given))
    negative = backbone.condition([unwanted], joined(backbone, given))
    return images.to_pil(backbone.sample(conditioning, negative, seeds, settings))


def by_name(concepts: Sequence[Concept]) -> dict[str, Concept]:
    """Name -> concept. Raises UserError when two have one name."""
    found = {concept.name: concept for concept in concepts}
    if len(found) < len(concepts):
        names = [concept.name for concept in concepts]
        twice = max(names, key=names.count)
        raise UserError(f"two concepts are called {twice}; rename one, on the command line with --concept NEWNAME=FILE")
    return found


def joined(backbone: Backbone, concepts: Mapping[str, Concept]) -> dict[str, Tensor]:
    """The concepts' vectors one below the other, as ``prompts.parse`` counts them: encoder -> (rows, width)."""
    return {
        name: torch.cat([torch.empty(0, backbone.widths[name]), *(c.vectors(name) for c in concepts.values())])
        for name in backbone.encoders
    }
