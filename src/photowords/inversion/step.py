"""Step: where an inversion stands, and all that continuing from there needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from photowords.concept import Concept


@dataclass(frozen=True)
class Step:
    """What ``invert`` yields, first for step 0, the start itself.

    Attributes:
        index: optimiser steps taken.
        loss: training loss of the step that led here; None at step 0.
        held_out: losses of the held-out tuples, (n,), where they were evaluated.
        concept: the concept as it stands.
        gradient: norm of the training loss's gradient in each word's vectors, (words,), all text encoders together;
            0 for frozen ones, None at step 0.
        sample_steps: network passes so far: steps x batch, plus one for each held-out tuple evaluated.
        state: the optimiser's tensors; with ``concept``, all that continuing needs.
    """

    index: int
    loss: float | None
    held_out: Tensor | None
    concept: Concept
    gradient: Tensor | None
    sample_steps: int
    state: Mapping[str, Tensor]


def by_word(concept: Concept, leaves: Mapping[str, Tensor]) -> Tensor:
    """Norm of the gradient in each word's vectors, all text encoders together, (words,)."""
    squares = torch.zeros(len(concept))
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            rows = leaf.grad.square().sum(1).cpu().split(concept.sizes(name))
            squares += torch.stack([own.sum() for own in rows])
    return squares.sqrt()


def state_of(optimizer: torch.optim.Optimizer, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the vectors and of what the optimiser remembers of them, on the CPU."""
    state = {f"{name}.leaf": leaf.detach().cpu().clone() for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        state |= {f"{name}.{key}": value.detach().cpu().clone() for key, value in optimizer.state[leaf].items()}
    return state


def restore(optimizer: torch.optim.Optimizer, leaves: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Put back what ``state_of`` copied; nothing of a run that was stopped at step 0."""
    with torch.no_grad():
        for name, leaf in leaves.items():
            if f"{name}.leaf" not in state:  # a run that was stopped at step 0
                continue
            leaf.copy_(state[f"{name}.leaf"])
            keys = [key.removeprefix(f"{name}.") for key in state if key.startswith(f"{name}.")]
            optimizer.state[leaf] = {
                key: state[f"{name}.{key}"].to("cpu" if key == "step" else leaf.device).clone()
                for key in keys
                if key != "leaf"
            }
