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

from photowords.backbones.objective import Objective
from photowords.inversion.draws import Draws, alone, spread
from photowords.inversion.loss import Batch
from photowords.settings import InvertSettings

RUNNING = 3.0
"""Power of the running average: most of the weight lies on the last quarter of the steps."""
TOWARDS = 0.8
"""How far from the last step's vectors to their running average the next gradient is taken: Defazio et al.'s beta."""

State = Mapping[str, Tensor]
"""What is kept of one text encoder from step to step: ``rows``, where the next gradient is taken, and what the parts of
the rule remember."""


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
    """Directional textual inversion (arXiv 2512.13672): each vector turns by rho radians and keeps its length."""

    keeps_length: ClassVar[bool] = True

    def __call__(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        rows = state["rows"]
        length = rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        unit = rows / length
        across = gradient - (gradient * unit).sum(1, keepdim=True) * unit
        down = -across / across.norm(dim=1, keepdim=True).clamp_min(1e-30)
        return {"rows": as_long(unit * math.cos(rho) + down * math.sin(rho), rows)}


def as_trained(objective: Objective, quantiles: Tensor) -> tuple[Tensor, Tensor]:
    """Timesteps as the model's own training draws them; each weighs 1."""
    return objective.timesteps(quantiles), torch.ones(len(quantiles))


def important(objective: Objective, quantiles: Tensor) -> tuple[Tensor, Tensor]:
    """More of those that the words learn most from, each weighing as much less; see ``Objective.important``."""
    return objective.important(quantiles)


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
        draws: where in the timesteps' distribution the samples lie, and in which templates.
        timesteps: (objective, quantiles) -> the timesteps there, and what each weighs.
        average: learn a running average of the steps, in which a step weighs about its number to this power, so that
            early ones are forgotten (Shamir and Zhang 2013); None gives the last step's own. It is a falling rate's
            gain without having to know the last step. Where the optimiser keeps lengths, so does the average.
        towards: gradients are taken so far on the way from the last step's vectors to the average (schedule-free
            learning, Defazio et al. 2024): nearer to what is learned than the steps go, which may then be long.
    """

    optimizer: Optimizer = AdamW()
    noise: Callable[[Callable[[int], Batch], int], Batch] = independent
    draws: Draws = alone
    timesteps: Callable[[Objective, Tensor], tuple[Tensor, Tensor]] = as_trained
    average: float | None = None
    towards: float = 0.0

    @classmethod
    def of(cls, settings: InvertSettings) -> Rule:
        """The rule that settings name."""
        optimizers: dict[str, Optimizer] = {
            "adamw": AdamW(weight_decay=settings.weight_decay),
            "tangent": Tangent(),
        }
        noise = {"independent": independent, "antithetic": antithetic}
        draws: dict[str, Draws] = {"independent": alone, "spread": spread, "importance": spread}
        return cls(
            optimizers[settings.optimizer],
            noise[settings.noise],
            draws[settings.draws],
            important if settings.draws == "importance" else as_trained,
            {"none": None, "running": RUNNING}[settings.average],
            TOWARDS,
        )

    def step(self, state: State, gradient: Tensor, rho: float, size: float, index: int) -> State:
        """The state after step ``index`` (1, 2, ...), whose gradient was taken at the state's ``rows``."""
        moved = self.optimizer({**state, "rows": state.get("stepped", state["rows"])}, gradient, rho, size, index)
        if self.average is None:
            return moved
        stepped = moved["rows"]

        def between(a: Tensor, b: Tensor, share: float) -> Tensor:
            mixed = a.lerp(b, share)  # of turned vectors, shorter than they are
            return as_long(mixed, stepped) if self.optimizer.keeps_length else mixed

        average = between(state.get("average", stepped), stepped, (self.average + 1) / (index + self.average))
        return {**moved, "rows": between(stepped, average, self.towards), "stepped": stepped, "average": average}


def as_long(vectors: Tensor, others: Tensor) -> Tensor:
    """Vectors (rows, width) in their own directions, each as long as the other one."""
    length, own = (rows.norm(dim=1, keepdim=True) for rows in (others, vectors))
    longer: Tensor = vectors * length / own.clamp_min(1e-12)
    return longer


def learned(state: State) -> Tensor:
    """The vectors that a state stands for: the average, where there is one."""
    return state.get("average", state["rows"])
