"""World: what is special about a model of a small world. It stands in data beside the model, never in code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file
from torch import Tensor

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class World:
    """From ``world.json`` and ``world.safetensors`` in a model's folder.

    Attributes:
        known_words: all that the model has seen.
        readers: "captioner", "classifier" and "clip" -> their folders.
        traits: of some of the world's own pictures, (n, 14); see ``traits``.
        farthest: a picture is familiar when its traits' third nearest neighbour among those is no farther, in standard
            deviations.
    """

    known_words: frozenset[str]
    readers: Mapping[str, str]
    traits: Tensor
    farthest: float

    @classmethod
    def beside(cls, folder: Path) -> Self | None:
        """The world that a model folder describes; None for a model of the open world."""
        path = folder / "world.json"
        if not path.exists():
            return None
        told = json.loads(path.read_text())
        readers = {reader: str((folder / place).resolve()) for reader, place in told["readers"].items()}
        table = load_file(folder / "world.safetensors")["traits"].float()
        return cls(frozenset(told["known_words"]), readers, table, float(told["farthest"]))

    def is_familiar(self, pictures: Tensor, rebuilt: Tensor) -> Tensor:
        """Whether each picture looks like one of this world, (n,) booleans; arguments as ``traits``."""
        return distances(traits(pictures, rebuilt), self.traits)[:, NEIGHBOURS - 1] <= self.farthest


def traits(pictures: Tensor, rebuilt: Tensor) -> Tensor:
    """What tells a drawn picture from a photo: how coloured it is, how its edges are distributed, and how well the
    model's own autoencoder rebuilds it, against how much there is to rebuild.

    pictures, rebuilt: (n, 3, h, w) in [-1, 1], before and after the autoencoder. Returns (n, 14): quantiles of the
    saturation, log quantiles of the steps between neighbours, log error, log error against mean step.
    """
    at = torch.tensor(QUANTILES)
    light = pictures / 2 + 0.5
    most, least = light.amax(1), light.amin(1)
    saturation = ((most - least) / (most + 1e-3)).flatten(1).quantile(at, 1).T
    steps = (pictures[..., 1:] - pictures[..., :-1]).abs().mean(1).flatten(1)
    edges = (steps.quantile(at, 1).T + 2e-3).log()
    error = (rebuilt - pictures).abs().mean((1, 2, 3))
    return torch.cat([saturation, edges, torch.stack([error, error / (steps.mean(1) + 1e-3)], 1).log()], 1)


def distances(found: Tensor, own: Tensor) -> Tensor:
    """From each of (n, 14) to the world's own (m, 14), nearest first, in standard deviations of those: (n, m)."""
    # What never varies in a world (a tenth of every drawing is of one colour) tells it from others at a twentieth.
    mean, std = own.mean(0), own.std(0).clamp(min=0.05)
    return torch.cdist((found - mean) / std, (own - mean) / std).sort(1).values
