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
        state: what the rule keeps, "ENCODER.NAME" -> tensor where it was computed; all that continuing needs. Empty at
            step 0.
    """

    index: int
    loss: float | None
    held_out: Tensor | None
    concept: Concept
    gradient: Tensor | None
    sample_steps: int
    state: Mapping[str, Tensor]


def by_word(concept: Concept, squares: Mapping[str, Tensor]) -> Tensor:
    """Norm of the gradient in each word's vectors, all text encoders together, (words,).

    ``squares``: the squared norm of each row that learns, (trainable rows,) for each encoder, on the CPU.
    """
    found = torch.zeros(len(concept))
    for name, own in squares.items():
        words = concept.trainable_rows(name).squeeze(1).nonzero().squeeze(1)
        owner = torch.arange(len(concept)).repeat_interleave(torch.tensor(concept.sizes(name)))[words]
        found.index_add_(0, owner, own)
    return found.sqrt()


def fetched(*tensors: Tensor) -> list[Tensor]:
    """Small tensors on the CPU, float32: by one copy, since a device is waited for at each."""
    flat = torch.cat([tensor.detach().float().flatten() for tensor in tensors]).cpu()
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape).clone() for part, tensor in zip(parts, tensors, strict=True)]


def packed(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Every encoder's state as one mapping. Nothing is copied: a rule makes new tensors and changes none."""
    return {f"{encoder}.{name}": tensor for encoder, state in states.items() for name, tensor in state.items()}


def unpacked(state: Mapping[str, Tensor], encoder: str, device: torch.device) -> dict[str, Tensor]:
    """One encoder's part of what ``packed`` made."""
    start = f"{encoder}."
    return {name.removeprefix(start): tensor.to(device) for name, tensor in state.items() if name.startswith(start)}
