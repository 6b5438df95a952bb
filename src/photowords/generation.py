"""Backbone + concepts + prompt + seeds -> pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import images
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.prompts import parse
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

    Raises UserError for a prompt that names an unknown concept or word, or is longer than the context,
    and for a concept made for another model.
    """
    settings = settings or GenerateSettings()
    by_name = {concept.name: concept for concept in concepts}
    for concept in concepts:
        backbone.check(concept)
    conditioning = backbone.condition([parse(prompt, by_name)], joined(backbone, by_name))
    negative = backbone.condition([parse(settings.negative, by_name)], joined(backbone, by_name))
    return images.to_pil(backbone.sample(conditioning, negative, seeds, settings))


def joined(backbone: Backbone, concepts: Mapping[str, Concept]) -> dict[str, Tensor]:
    """The concepts' vectors one below the other, as ``prompts.parse`` counts them: encoder -> (rows, width)."""
    return {
        name: torch.cat([torch.empty(0, backbone.widths[name]), *(c.vectors(name) for c in concepts.values())])
        for name in backbone.encoders
    }
