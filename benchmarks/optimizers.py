"""Parts of a rule that were tried and are not in the package; ``benchmarks.recipes`` compares them with its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from photowords.inversion.draws import Drawn, Draws, spread
from photowords.inversion.rule import Optimizer, State, as_long


@dataclass(frozen=True)
class Around:
    """Another optimiser with something changed; lengths stay where it keeps them."""

    inner: Optimizer

    @property
    def keeps_length(self) -> bool:
        return self.inner.keeps_length


@dataclass(frozen=True)
class Kept:
    """After each step of another optimiser, every vector is brought back to the length that it began with."""

    inner: Optimizer
    keeps_length: ClassVar[bool] = True

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        moved = self.inner(state, gradient, rho, size, index)
        return {**moved, "rows": as_long(moved["rows"], state["rows"])}


@dataclass(frozen=True)
class Heavy(Around):
    """Another optimiser, given a sum of the gradients so far, each at length 1 over all vectors and without what lies
    along its vector: the last one whole and every older one ``momentum`` times the next."""

    momentum: float

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        unit = state["rows"] / state["rows"].norm(dim=1, keepdim=True)
        total = self.momentum * state.get("slopes", torch.zeros_like(unit)) + gradient / gradient.norm()
        across = total - (total * unit).sum(1, keepdim=True) * unit
        return {**self.inner(state, across, rho, size, index), "slopes": across}


@dataclass(frozen=True)
class Pulled(Around):
    """Another optimiser with a pull on every vector towards where it began, ``strength`` times its gradient's norm for
    each of the vector's own lengths that it has gone."""

    strength: float

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        start = state.get("start", state["rows"])
        away = (state["rows"] - start) / start.norm(dim=1, keepdim=True)
        pulled = gradient + self.strength * gradient.norm(dim=1, keepdim=True) * away
        return {**self.inner(state, pulled, rho, size, index), "start": start}


@dataclass(frozen=True)
class Falling(Around):
    """Another optimiser at a rate that falls to 0 over ``steps`` as half a cosine (Loshchilov and Hutter 2017)."""

    steps: int

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        factor = (1 + math.cos(math.pi * (index - 1) / self.steps)) / 2
        return self.inner(state, gradient, rho * factor, size, index)


@dataclass(frozen=True)
class TangentTogether:
    """``Tangent`` whose vectors turn by rho on (root mean square) average, those with the larger gradient by more."""

    keeps_length: ClassVar[bool] = True

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows = state["rows"]
        length = rows.norm(dim=1, keepdim=True)
        unit = rows / length
        along = (gradient - (gradient * unit).sum(1, keepdim=True) * unit) * length  # a gradient in radians
        turn = rho * along / along.square().sum(1).mean().sqrt().clamp_min(1e-30)
        angle = turn.norm(dim=1, keepdim=True)
        return {"rows": length * (unit * angle.cos() - turn * (angle / math.pi).sinc())}


@dataclass(frozen=True)
class Normalised:
    """The gradient of all vectors together at length rho x a typical word's, for each of them."""

    keeps_length: ClassVar[bool] = False

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows = state["rows"]
        return {"rows": rows - rho * size * rows.numel() ** 0.5 * gradient / gradient.norm().clamp_min(1e-30)}


@dataclass(frozen=True)
class Muon:
    """Jordan 2024: a running mean of the gradients with all its singular values made 1. ``largest``: the others 0."""

    beta: float = 0.9
    largest: int | None = None
    keeps_length: ClassVar[bool] = False

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows = state["rows"]
        mean = self.beta * state.get("mean", torch.zeros_like(gradient)) + gradient
        left, _, right = torch.linalg.svd(gradient.lerp(mean, self.beta), full_matrices=False)
        step = left[:, : self.largest] @ right[: self.largest]
        return {"rows": rows - rho * size * rows.shape[1] ** 0.5 * step, "mean": mean}


def between(low: float, high: float) -> Draws:
    """Only the timesteps between these quantiles, spread evenly over the run; another objective than equation 1."""

    def draws(generator: torch.Generator, seed: int, index: int, size: int, prompts: int) -> Drawn:
        drawn = spread(generator, seed, index, size, prompts)
        return drawn._replace(quantile=low + (high - low) * drawn.quantile)

    return draws


def curriculum(steps: int) -> Draws:
    """TokenVerse's (arXiv 2501.12224): for the first 57 % of the steps nearly all timesteps, 92 %, are of the noisiest
    fifth; after that, of the other four fifths."""

    def draws(generator: torch.Generator, seed: int, index: int, size: int, prompts: int) -> Drawn:
        drawn = spread(generator, seed, index, size, prompts)
        noisy = 0.92 if index <= 0.57 * steps else 0.08
        q = drawn.quantile
        moved = torch.where(q < 1 - noisy, q / (1 - noisy) * 0.8, 0.8 + (q - (1 - noisy)) / noisy * 0.2)
        return drawn._replace(quantile=moved)

    return draws
