"""Rule: how gradients become the next vectors. Its parts are a few lines each, and the loop knows none of them.

Vectors are those of the words that learn, in one text encoder: (rows, width). A step's size is ``rho``, its length
against a typical word's vector (``Backbone.word_size``), so that it means the same in every model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from photowords.inversion.draws import Draws, alone, spread
from photowords.inversion.loss import Batch
from photowords.settings import InvertSettings

RUNNING = 3.0
"""Power of the running average: most of the weight lies on the last quarter of the steps."""
MOMENTUM = 0.7
"""Of the tangent step: a gradient counts for about three steps."""

State = Mapping[str, Tensor]
"""What is kept of one text encoder from step to step: ``rows`` and what the parts of the rule remember."""


class Optimizer(Protocol):
    """One way to make a step.

    Attributes:
        keeps_length: every vector's length stays what it was.
    """

    @property
    def keeps_length(self) -> bool: ...

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        """``rows`` moved, and what to remember; ``size`` is the root mean square of a typical word's coordinates."""


@dataclass(frozen=True)
class AdamW:
    """Loshchilov and Hutter 2019, as PyTorch has it: a coordinate moves by about rho x size at first."""

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    eps: float = 1e-8
    keeps_length: ClassVar[bool] = False

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows, none, (b1, b2), lr = state["rows"], torch.zeros_like(gradient), self.betas, rho * size
        mean = state.get("exp_avg", none).lerp(gradient, 1 - b1)
        square = state.get("exp_avg_sq", none).lerp(gradient.square(), 1 - b2)
        step = (mean / (1 - b1**index)) / ((square / (1 - b2**index)).sqrt() + self.eps)
        return {"rows": rows * (1 - lr * self.weight_decay) - lr * step, "exp_avg": mean, "exp_avg_sq": square}


@dataclass(frozen=True)
class Tangent:
    """Directional textual inversion (arXiv 2512.13672): each vector turns by rho radians and keeps its length.

    With ``momentum`` it turns against a sum of the gradients so far, each at length 1 over all vectors, the last one
    whole and every older one ``momentum`` times the next.
    """

    momentum: float = 0.0
    keeps_length: ClassVar[bool] = True

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows = state["rows"]
        length = rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        unit = rows / length
        kept = state.get("slopes", torch.zeros_like(rows))
        slopes = self.momentum * kept + gradient / gradient.norm().clamp_min(1e-30)
        across = slopes - (slopes * unit).sum(1, keepdim=True) * unit
        down = -across / across.norm(dim=1, keepdim=True).clamp_min(1e-30)
        moved = unit * math.cos(rho) + down * math.sin(rho)
        return {"rows": length * moved / moved.norm(dim=1, keepdim=True), "slopes": across}


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
        noise: (draw n samples, batch size) -> the batch.
        draws: the samples' timesteps and templates.
        average: learn a running average of the steps, in which a step weighs about its number to this power, so that
            early ones are forgotten (Shamir and Zhang 2013); None gives the last step's own. It is a falling rate's
            gain without having to know the last step. Where the optimiser keeps lengths, so does the average.
    """

    optimizer: Optimizer = AdamW()
    noise: Callable[[Callable[[int], Batch], int], Batch] = independent
    draws: Draws = alone
    average: float | None = None

    @classmethod
    def of(cls, settings: InvertSettings) -> Rule:
        """The rule that settings name."""
        optimizers: dict[str, Optimizer] = {
            "adamw": AdamW(weight_decay=settings.weight_decay),
            "tangent": Tangent(MOMENTUM),
        }
        noise = {"independent": independent, "antithetic": antithetic}
        draws: dict[str, Draws] = {"independent": alone, "spread": spread}
        average = {"none": None, "running": RUNNING}
        return cls(
            optimizers[settings.optimizer], noise[settings.noise], draws[settings.draws], average[settings.average]
        )

    def step(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> State:
        """The state after step ``index`` (1, 2, ...)."""
        moved = self.optimizer(state, gradient, rho, size, index)
        if self.average is None:
            return moved
        weight = (self.average + 1) / (index + self.average)
        average = state.get("average", moved["rows"]).lerp(moved["rows"], weight)
        if self.optimizer.keeps_length:  # a mean of turned vectors is shorter than they are
            length, chord = (rows.norm(dim=1, keepdim=True) for rows in (moved["rows"], average))
            average = average * length / chord.clamp_min(1e-12)
        return {**moved, "average": average}


def learned(state: State) -> Tensor:
    """The vectors that a state stands for: the average, where there is one."""
    return state.get("average", state["rows"])
