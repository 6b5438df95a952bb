"""The 128-pixel recipe's optimiser: what its steps are, in fp32 and in bf16."""

from __future__ import annotations

import pytest
import torch

from recipes.pocket import muon


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (12, 12)])
def test_muons_step_has_the_singular_vectors_of_its_matrix_and_values_near_one(shape: tuple[int, int]) -> None:
    left, right = (torch.linalg.qr(torch.randn(side, min(shape)))[0] for side in shape)
    values = torch.linspace(1, 10, min(shape))
    turned = left.T @ muon.orthogonal(left * values @ right.T) @ right
    assert torch.allclose(turned, turned.diag().diag(), atol=1e-4)
    assert turned.diag().min() > 0.6 and turned.diag().max() < 1.3
    if hasattr(torch.optim, "Muon"):  # PyTorch 2.9, and in bf16
        from torch.optim._muon import _zeropower_via_newtonschulz

        matrix = torch.randn(shape)
        theirs = _zeropower_via_newtonschulz(matrix, muon.COEFFICIENTS, sum(muon.FP32_STEPS), 1e-7).float()
        assert (muon.orthogonal(matrix) - theirs).norm() < 0.03 * theirs.norm()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_muons_step_in_bf16_never_explodes(power: float) -> None:
    """As it did, up to a thousandfold, when G was carried on for five steps."""
    left, right = (torch.linalg.qr(torch.randn(side, 96))[0] for side in (96, 400))
    values = torch.arange(1, 97).float() ** -power
    matrix = left * values @ right.T
    exact, rounded = muon.orthogonal(matrix), muon.orthogonal(matrix, torch.bfloat16)
    assert rounded.dtype == torch.float32 and torch.linalg.svdvals(rounded).max() < 1.25
    clear = values > 2e-3 * values.norm()  # what stands clear of bf16's rounding is turned as in fp32
    seen, other = (left.T @ part @ right for part in (rounded, exact))
    assert torch.allclose(seen.diag()[clear], other.diag()[clear], atol=0.1)
