"""What a GPU is to repeat by itself as one CUDA graph; the capture itself needs one, all that it asks for does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from recipes.pocket import data, diffusion, training
from tests.test_pocket_training import fit, folders, plan

__all__ = ["folders"]


class Reads(TorchDispatchMode):
    """Notes the operations for whose results the host waits: none of them can be in a CUDA graph."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.noted: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in ("_local_scalar_dense", "nonzero", "equal.", "lift_fresh")):
            self.noted.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_that_a_gpu_is_to_repeat_reads_nothing_back(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = fit(plan(muon=1))
    reads, calls = Reads(), []

    def graphed(step: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def repeated(*drawn: Tensor) -> Tensor:
            calls.append(len(drawn))
            with reads:
                return step(*drawn)

        return repeated

    monkeypatch.setattr(training, "on_graph", lambda plan: True)
    monkeypatch.setattr(training, "Graphed", graphed)
    monkeypatch.setattr(data, "BUILD", folders / "graph")
    apart, _ = fit(plan(muon=1), apart=True)
    assert calls == [1] * 6 and not reads.noted
    assert all(torch.allclose(plain[key], apart[key], atol=1e-6) for key in plain), "the rate is a tensor, no more"
    model = diffusion.Denoiser()
    with reads:
        told = torch.randn(2, 48, 8, 8), torch.tensor([3, 900]), torch.randint(0, 100, (2, 32))
        reads.noted.clear()
        model(*told).square().mean().backward()
    assert not reads.noted
    with reads:
        model.unet.conv_in.bias.sum().item()
    assert reads.noted, "the spy sees what it is to see"
