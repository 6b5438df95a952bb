"""Muon (Jordan et al. 2024): PyTorch's own multiplies in bfloat16 always, which CPUs without bf16 units do by hand.

The five Newton-Schulz steps X -> (a + b G + c G^2) X, with G = X X^T, are the same. Since G of the next step follows
from this one's, only the small G and the product of the polynomials are carried on; X is multiplied twice in all. Of
a matrix nine times as wide as it is high that is less than half of the arithmetic. In bf16 a G that is carried on
for five steps is not X X^T any more, and the singular values explode: there it is taken from X again after three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
FP32_STEPS = (5,)  # the steps for which G is carried on
BF16_STEPS = (3, 2)
MOMENTUM = 0.95


def orthogonal(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Roughly U V^T of matrices (..., m, n) = U S V^T: all singular values between about 0.7 and 1.2.

    Computed in ``dtype``; in bf16 they may be anything from 0 to 1.2 where they were less than a thousandth of the
    largest.
    """
    a, b, c = COEFFICIENTS
    x = matrix.mT if matrix.shape[-2] > matrix.shape[-1] else matrix
    x = (x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)).to(dtype)
    identity = torch.eye(x.shape[-2], dtype=dtype, device=x.device)
    for steps in FP32_STEPS if dtype == torch.float32 else BF16_STEPS:
        gram, product = x @ x.mT, identity
        for step in range(steps):
            factor = a * identity + b * gram + c * (gram @ gram)
            product = factor @ product
            if step < steps - 1:
                gram = factor @ gram @ factor
        x = product @ x
    x = x.to(matrix.dtype)
    return x.mT if matrix.shape[-2] > matrix.shape[-1] else x


class Muon(torch.optim.Optimizer):
    """Steps of fp32 matrices along ``orthogonal``, computed in ``dtype``, of their Nesterov momentum.

    The rate is scaled so that a step's root mean square is AdamW's (Liu et al. 2025), and one rate serves both.
    A rate that is a tensor may be changed in place.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float | Tensor,
        weight_decay: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype

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
                torch._foreach_lerp_(averages, gradients, 1 - MOMENTUM)
                nesterov = torch.stack(torch._foreach_lerp(gradients, averages, MOMENTUM))
                steps = orthogonal(nesterov, self.dtype)
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_sub_(matrices, list(group["lr"] * 0.2 * math.sqrt(max(shape)) * steps))
