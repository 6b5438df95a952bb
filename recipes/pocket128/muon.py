"""Muon (Jordan et al. 2024) for fp32: PyTorch's own multiplies in bfloat16, which CPUs without bf16 units do by hand.

The five Newton-Schulz steps X -> (a + b G + c G^2) X, with G = X X^T, are the same. Since G of the next step follows
from this one's, only the small G and the product of the polynomials are carried on; X is multiplied twice in all. Of
a matrix nine times as wide as it is high that is less than half of the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonal(matrix: Tensor) -> Tensor:
    """Roughly U V^T of a matrix (m, n) = U S V^T: all singular values between about 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    gram, identity = x @ x.T, torch.eye(len(x), device=x.device)
    product = identity
    for step in range(STEPS):
        factor = torch.addmm(torch.add(a * identity, gram, alpha=b), gram, gram, alpha=c)
        product = factor @ product
        if step < STEPS - 1:
            gram = factor @ gram @ factor
    x = product @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """Steps of fp32 matrices along ``orthogonal`` of their Nesterov momentum.

    The rate is scaled so that a step's root mean square is AdamW's (Liu et al. 2025), and one rate serves both.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                average = state.setdefault("momentum", torch.zeros_like(matrix))
                average.lerp_(matrix.grad, 1 - group["momentum"])
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                size = 0.2 * math.sqrt(max(matrix.shape))
                matrix.add_(orthogonal(matrix.grad.lerp(average, group["momentum"])), alpha=-group["lr"] * size)
