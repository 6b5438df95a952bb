"""Which timesteps and templates the samples of a step have: each drawn for itself, or spread over the whole run."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from photowords.backbones.objective import Objective

GOLDEN = (5**0.5 - 1) / 2
"""The step of a sequence in [0, 1) whose first n members lie as evenly as any such sequence's (Weyl 1916)."""


class Drawn(NamedTuple):
    """What n samples have beside their noise.

    Attributes:
        t: timesteps, (n,), where the objective makes them.
        weight: what each sample's loss counts, (n,), on the CPU: what keeps the expectation equation 1's.
        prompt: numbers of templates, (n,), on the CPU.
    """

    t: Tensor
    weight: Tensor
    prompt: Tensor


class Draws(Protocol):
    """Draws for the steps of one run."""

    def __init__(self, objective: Objective, prompts: int, seed: int) -> None: ...

    def __call__(self, generator: torch.Generator, index: int, size: int) -> Drawn:
        """Those of the ``size`` samples of step ``index`` (1, 2, ...), a function of these and the seed alone."""


class Independent:
    """Each sample draws a template and a timestep for itself, as equation 1 is written."""

    def __init__(self, objective: Objective, prompts: int, seed: int) -> None:
        self._objective, self._prompts = objective, prompts

    def __call__(self, generator: torch.Generator, index: int, size: int) -> Drawn:
        prompt = torch.randint(self._prompts, (size,), generator=generator)
        t = self._objective.timesteps(torch.rand(size, generator=generator))
        return Drawn(t, torch.ones(size), prompt)


class Spread:
    """Timesteps lie evenly over the run, and closer where the loss says more about the words; templates take turns.

    A timestep is drawn in proportion to how long the loss's gradient in the words is there
    (``Objective.steepness``), and weighs the inverse: importance sampling, so the expectation stays equation 1's and
    every sample says about as much. Each step's timesteps go on where the last one's ended, by the golden ratio.
    """

    def __init__(self, objective: Objective, prompts: int, seed: int) -> None:
        every = torch.arange(objective.steps, dtype=torch.float64)
        self._quantiles = (every + 0.5) / objective.steps
        steepness = objective.steepness(objective.timesteps(self._quantiles)).cpu().double()
        self._reached = steepness.cumsum(0) / steepness.sum()
        self._weights = (steepness.mean() / steepness).float()
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(prompts, generator=generator)
        self._begin = torch.rand((), generator=generator, dtype=torch.float64)
        self._objective = objective

    def __call__(self, generator: torch.Generator, index: int, size: int) -> Drawn:
        number = torch.arange((index - 1) * size, index * size)
        place = (self._begin + GOLDEN * number) % 1
        chosen = torch.searchsorted(self._reached, place).clamp(max=len(self._reached) - 1)
        t = self._objective.timesteps(self._quantiles[chosen])
        return Drawn(t, self._weights[chosen], self._order[number % len(self._order)])
