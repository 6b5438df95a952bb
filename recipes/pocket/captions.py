"""What the diffusion model reads in training: many captions of each picture.

Drawn once, before training, so that no worker writes sentences while it trains.
"""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from photowords.templates import OBJECT
from recipes.pocket import data, words
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.training import workers
from recipes.pocket.world import Picture, article, describe

COUNT = 12  # of each picture
GENERAL_WORDS = ("*", "*", "thing", "object")
"""Stand in for an object's phrase in a few percent of the captions, as general words do in CLIP's."""


def training_caption(picture: Picture, draw: random.Random) -> str:
    """One of the many ways to caption a drawing; empty one time in ten, for classifier-free guidance."""
    if draw.random() < 0.1:
        return ""
    phrases = []
    for thing in picture.things:
        chance = draw.random()
        phrases.append(
            draw.choice(GENERAL_WORDS) if chance < 0.07 else thing.object if chance < 0.14 else describe(thing)
        )
    draw.shuffle(phrases)
    first, *others = phrases
    ending = "".join(f" and {article(phrase)}" for phrase in others)
    if picture.style != "photo":
        text = f"{STYLES[picture.style]} {article(first) if draw.random() < 0.8 else first}{ending}"
    else:
        chance = draw.random()
        if chance < 0.45:
            text = f"a photo of {article(first)}{ending}"
        elif chance < 0.65:
            text = f"a photo of {first}{ending}"
        elif chance < 0.75:
            text = first + ending
        else:
            text = draw.choice(OBJECT).format(first + ending)
    return text if draw.random() < 0.3 else f"{text} {SCENES[picture.scene]}"


def caption_all(specs: list[Picture]) -> Tensor:
    """Token ids of COUNT captions of each picture, int16 (n, COUNT, 32). The first worker writes them for all."""
    rank, count = workers()
    ids = torch.empty(len(specs), COUNT, words.CONTEXT, dtype=torch.int16)
    if rank == 0:
        chunks = [(first, specs[first : first + 100]) for first in range(0, len(specs), 100)]
        ids = torch.from_numpy(np.concatenate(data.on_all_cores(_caption, chunks)))
    if count > 1:
        dist.broadcast(ids.view(torch.uint8), 0)  # bytes, since gloo knows no int16
    return ids


def _caption(part: tuple[int, list[Picture]]) -> NDArray[np.int16]:
    first, specs = part
    draw = random.Random(first)
    texts = [training_caption(spec, draw) for spec in specs for _ in range(COUNT)]
    ids = words.tokenizer()(texts, padding="max_length", truncation=True, max_length=words.CONTEXT)["input_ids"]
    return np.array(ids, np.int16).reshape(len(specs), COUNT, words.CONTEXT)
