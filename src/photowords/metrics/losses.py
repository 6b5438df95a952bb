"""What losses on fixed tuples say: a difference that is paired, and where along the noise it lies.

Reference: Voronov et al. 2023 (DVAR), whose evaluation fixes the photo, the timestep, the noise and the template.
"""

from __future__ import annotations

import torch
from torch import Tensor


def paired_difference(losses: Tensor, losses_at_start: Tensor) -> tuple[float, float | None]:
    """Mean of ``losses - losses_at_start`` over tuples (n,), and its standard error (None when n is 1).

    Below 0 is better than the start. The two are measured on the same tuples, so that what a tuple's own noise
    adds cancels. The standard error takes the tuples for draws at random; they are stratified in t, and the true
    error is rather smaller.
    """
    if losses.shape != losses_at_start.shape:
        raise ValueError(f"the losses are of other tuples: {tuple(losses.shape)} and {tuple(losses_at_start.shape)}")
    difference = losses.double() - losses_at_start.double()
    error = difference.std().item() / len(difference) ** 0.5 if len(difference) > 1 else None
    return difference.mean().item(), error


def by_thirds(losses: Tensor) -> tuple[float | None, float | None, float | None]:
    """Mean loss (n,) over little, middling and much noise: each third of the timesteps that training draws.

    ``losses`` are of stratified tuples, the least noise first. Lower is better, [0, inf); None for a third that holds
    no tuple.
    """
    third = ((torch.arange(len(losses)) + 0.5) * 3 / max(1, len(losses))).long()
    little, middling, much = (losses[third == k].double() for k in range(3))

    def mean(part: Tensor) -> float | None:
        return part.mean().item() if len(part) else None

    return mean(little), mean(middling), mean(much)
