"""Rule: how gradients become the next vectors. Its parts are a few lines each, and the loop knows none of them.

Vectors are those of the words that learn, in one text encoder: (rows, width). A step's size is ``rho``, its length
against a typical word's vector (``Backbone.word_size``), so that it means the same in every model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from photowords.inversion.loss import Batch
from photowords.settings import InvertSettings

State = Mapping[str, Tensor]
"""What is kept of one text encoder from step to step: ``rows`` and what the parts of the rule remember."""


class Optimizer(Protocol):
    """One way to make a step."""

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        """``rows`` moved, and what to remember; ``size`` is the root mean square of a typical word's coordinates."""


@dataclass(frozen=True)
class AdamW:
    """Loshchilov and Hutter 2019, as PyTorch has it: a coordinate moves by about rho x size at first."""

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    eps: float = 1e-8

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows, none, (b1, b2), lr = state["rows"], torch.zeros_like(gradient), self.betas, rho * size
        mean = state.get("exp_avg", none).lerp(gradient, 1 - b1)
        square = state.get("exp_avg_sq", none).lerp(gradient.square(), 1 - b2)
        step = (mean / (1 - b1**index)) / ((square / (1 - b2**index)).sqrt() + self.eps)
        return {"rows": rows * (1 - lr * self.weight_decay) - lr * step, "exp_avg": mean, "exp_avg_sq": square}


@dataclass(frozen=True)
class Tangent:
    """Directional textual inversion (arXiv 2512.13672): each vector turns by rho radians and keeps its length.

    ``per_row``: each by as much; else all by rho on (root mean square) average, the larger gradient by more.
    """

    per_row: bool = True

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows = state["rows"]
        length = rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        unit = rows / length
        along = (gradient - (gradient * unit).sum(1, keepdim=True) * unit) * length  # a gradient in radians
        norm = along.norm(dim=1, keepdim=True)
        turn = rho * along / (norm if self.per_row else norm.square().mean().sqrt()).clamp_min(1e-30)
        angle = turn.norm(dim=1, keepdim=True)
        moved = unit * angle.cos() - turn * (angle / math.pi).sinc()
        return {"rows": length * moved}


def constant(done: float) -> float:
    """The same rate throughout."""
    return 1.0


def cosine(done: float) -> float:
    """Half a cosine, from 1 to 0 (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * done)) / 2


def independent(draw: Callable[[int], Batch], size: int) -> Batch:
    """Each sample with draws of its own."""
    return draw(size)


def antithetic(draw: Callable[[int], Batch], size: int) -> Batch:
    """Half as many draws, each with its noise and with the negative of it: what is odd in the noise cancels.

    Of an odd size the last draw stands alone. The expectation is equation 1's.
    """
    half = draw((size + 1) // 2)
    return Batch.cat([half, half.mirrored()]).first(size)


@dataclass(frozen=True)
class Rule:
    """Everything that decides on a step beside the loss.

    Attributes:
        optimizer: makes the step.
        schedule: share of the steps done, in [0, 1) -> factor of rho.
        draws: (draw n samples, batch size) -> the batch.
        average: share of the steps, the last ones, whose vectors are averaged; 0 gives the last step's own.
    """

    optimizer: Optimizer = AdamW()
    schedule: Callable[[float], float] = constant
    draws: Callable[[Callable[[int], Batch], int], Batch] = independent
    average: float = 0.0

    @classmethod
    def of(cls, settings: InvertSettings) -> Rule:
        """The rule that settings name."""
        optimizers: dict[str, Optimizer] = {
            "adamw": AdamW(weight_decay=settings.weight_decay),
            "tangent": Tangent(),
        }
        schedules = {"constant": constant, "cosine": cosine}
        draws = {"independent": independent, "antithetic": antithetic}
        return cls(
            optimizers[settings.optimizer], schedules[settings.schedule], draws[settings.noise], settings.average
        )

    @property
    def is_open_ended(self) -> bool:
        """Whether its steps are the same however many follow, so that a finished run can be taken further."""
        return self.schedule is constant and self.average == 0

    def step(self, state: State, gradient: Tensor, rho: float, size: float, index: int, steps: int) -> State:
        """The state after step ``index`` (1, 2, ...) of ``steps``."""
        moved = self.optimizer(state, gradient, rho * self.schedule((index - 1) / steps), size, index)
        first = steps - round(self.average * steps) + 1
        if index < first:
            return moved
        mean = state.get("average", moved["rows"])
        return {**moved, "average": mean.lerp(moved["rows"], 1 / (index - first + 1))}


def learned(state: State) -> Tensor:
    """The vectors that a state stands for: the average, where there is one."""
    return state.get("average", state["rows"])
