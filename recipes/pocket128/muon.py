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
    """Roughly U V^T of matrices (..., m, n) = U S V^T: all singular values between about 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    x = matrix.mT if matrix.shape[-2] > matrix.shape[-1] else matrix
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    gram, identity = x @ x.mT, torch.eye(x.shape[-2], device=x.device)
    product = identity
    for step in range(STEPS):
        factor = a * identity + b * gram + c * (gram @ gram)
        product = factor @ product
        if step < STEPS - 1:
            gram = factor @ gram @ factor
    x = product @ x
    return x.mT if matrix.shape[-2] > matrix.shape[-1] else x


class Muon(torch.optim.Optimizer):
    """Steps of fp32 matrices along ``orthogonal`` of their Nesterov momentum.

    The rate is scaled so that a step's root mean square is AdamW's (Liu et al. 2025), and one rate serves both.
    A rate that is a tensor may be changed in place.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float | Tensor, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            # Matrices of one shape are stepped together: on a GPU a launch costs more than the arithmetic.
            alike: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in alike.items():
                gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
                for matrix in matrices:
                    if not self.state[matrix]:
                        self.state[matrix]["momentum"] = torch.zeros_like(matrix)
                averages = [self.state[matrix]["momentum"] for matrix in matrices]
                torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
                steps = orthogonal(torch.stack(torch._foreach_lerp(gradients, averages, group["momentum"])))
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_sub_(matrices, list(group["lr"] * 0.2 * math.sqrt(max(shape)) * steps))
