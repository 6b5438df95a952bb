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
        state: what the rule keeps, "ENCODER.NAME" -> tensor; all that continuing needs. Empty at step 0.
    """

    index: int
    loss: float | None
    held_out: Tensor | None
    concept: Concept
    gradient: Tensor | None
    sample_steps: int
    state: Mapping[str, Tensor]


def by_word(concept: Concept, gradients: Mapping[str, Tensor]) -> Tensor:
    """Norm of the gradient in each word's vectors, all text encoders together, (words,).

    ``gradients``: of the rows that learn, (trainable rows, width) for each encoder.
    """
    squares = torch.zeros(len(concept))
    for name, gradient in gradients.items():
        words = concept.trainable_rows(name).squeeze(1).nonzero().squeeze(1)
        owner = torch.arange(len(concept)).repeat_interleave(torch.tensor(concept.sizes(name)))[words]
        squares.index_add_(0, owner, gradient.square().sum(1).cpu())
    return squares.sqrt()


def packed(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Every encoder's state as one mapping, copied to the CPU."""
    return {
        f"{encoder}.{name}": tensor.detach().cpu().clone()
        for encoder, state in states.items()
        for name, tensor in state.items()
    }


def unpacked(state: Mapping[str, Tensor], encoder: str, device: torch.device) -> dict[str, Tensor]:
    """One encoder's part of what ``packed`` made."""
    start = f"{encoder}."
    return {name.removeprefix(start): tensor.to(device) for name, tensor in state.items() if name.startswith(start)}
