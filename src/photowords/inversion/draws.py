"""Where in the timesteps the samples of a step lie, and in which templates: drawn for each, or spread over the run."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

HELD_OUT_SEED = 2**32 - 1
"""Of a generator that training never sees: torch uses 32 bits of a seed, and training takes its seeds modulo this."""
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
    elsewhere. Where the sequence begins and the order of each turn of the templates is the seed's; in one order for
    all turns, a list of 17 would keep each template to a part of the schedule, since 17 golden steps end nearly where
    they began.
    """
    number = torch.arange((index - 1) * size, index * size)
    turns, place = number // prompts, number % prompts
    orders = {turn: torch.randperm(prompts, generator=_generator(seed, 1 + turn)) for turn in set(turns.tolist())}
    begin = torch.rand((), generator=_generator(seed, 0), dtype=torch.float64)
    quantile = (begin + GOLDEN * number.double()) % 1  # in 32 bits a long run would end on a few places
    return Drawn(quantile, torch.stack([orders[turn][at] for turn, at in zip(turns.tolist(), place, strict=True)]))


def _generator(seed: int, number: int) -> torch.Generator:
    """One of a run's own generators."""
    return torch.Generator().manual_seed((seed + 7919 * number) % HELD_OUT_SEED)
