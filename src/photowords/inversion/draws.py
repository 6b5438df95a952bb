"""Where in the timesteps the samples of a step lie, and in which templates: drawn for each, or spread over the run."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

GOLDEN = (5**0.5 - 1) / 2
"""The step of a sequence in [0, 1) whose first n members lie evenly, however many they are (Weyl 1916)."""


class Drawn(NamedTuple):
    """What n samples have beside their noise.

    Attributes:
        quantile: of the timesteps' distribution, (n,) in [0, 1).
        prompt: numbers of templates, (n,).
    """

    quantile: Tensor
    prompt: Tensor


class Draws(Protocol):
    """How all samples of a run are drawn; each has the distribution of equation 1."""

    def __call__(self, generator: torch.Generator, seed: int, index: int, size: int, prompts: int) -> Drawn:
        """The ``size`` samples of step ``index`` (1, 2, ...), a function of the step's generator and these alone."""


def alone(generator: torch.Generator, seed: int, index: int, size: int, prompts: int) -> Drawn:
    """Each sample for itself, as equation 1 is written."""
    prompt = torch.randint(prompts, (size,), generator=generator)
    return Drawn(torch.rand(size, generator=generator), prompt)


def spread(generator: torch.Generator, seed: int, index: int, size: int, prompts: int) -> Drawn:
    """Evenly over the run: timesteps go on by the golden ratio from step to step, templates take turns.

    A few steps have then met every part of the schedule, where samples drawn for themselves leave gaps and crowd
    elsewhere. Where the sequence begins and which template comes when is the seed's.
    """
    of_the_run = torch.Generator().manual_seed(seed)
    order = torch.randperm(prompts, generator=of_the_run)
    begin = torch.rand((), generator=of_the_run, dtype=torch.float64)
    number = torch.arange((index - 1) * size, index * size)
    return Drawn((begin + GOLDEN * number) % 1, order[number % prompts])
