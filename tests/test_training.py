"""The recipe's one loop: a killed training goes on to the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recipes.pocket import training
from recipes.pocket.training import Plan, learning_rate, train

PLAN = Plan(steps=6, batch=16, lr=1e-2, save_every=2)


def fit(plan: Plan, stop_at: int | None = None) -> dict[str, Tensor]:
    """Fit a small net to a linear map; ``stop_at`` raises in the loss of that step, as a kill would."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 2))
    calls = 0

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(batch, 4, generator=generator)
        return (model(x.bfloat16()).float() - x[:, :2]).square().mean()

    return train("toy", model, loss, plan)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="the trainers want PyTorch 2.9 or newer")
@pytest.mark.parametrize("muon", [0, 1])
def test_a_killed_training_continues_to_the_same_weights(
    muon: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(**{**vars(PLAN), "muon": muon})
    monkeypatch.setattr(training, "BUILD", tmp_path / "whole")
    whole = fit(plan)
    monkeypatch.setattr(training, "BUILD", tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        fit(plan, stop_at=6)
    assert (tmp_path / "cut" / "toy.ckpt").exists()
    resumed = fit(plan)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_the_rate_warms_up_stays_and_falls() -> None:
    plan = Plan(steps=1000, batch=1, lr=1.0, decay_share=0.4)
    assert learning_rate(0, plan) == pytest.approx(1 / 200)
    assert learning_rate(400, plan) == 1.0
    assert learning_rate(800, plan) == pytest.approx(0.5)
    assert learning_rate(999, plan) < 0.01
