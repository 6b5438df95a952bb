"""A step waits for the device once, and what it keeps is never changed by a later one."""

from typing import Any

import pytest
import torch
from PIL.Image import Image
from torch import Tensor

from photowords.backbones import Backbone
from photowords.initializers import start
from photowords.inversion import invert
from photowords.inversion.step import fetched
from photowords.settings import InvertSettings
from photowords.starts import Words


def test_a_step_reads_from_the_device_once(tiny: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each of these calls waits until all that was asked of it is done."""
    steps = invert(tiny, start(Words(words="red mug"), [], tiny), [mug], InvertSettings(steps=4, held_out=2))
    next(steps), next(steps)
    reads: list[str] = []
    cpu: Any = Tensor.cpu
    unique: Any = Tensor.unique
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: reads.append("cpu") or cpu(tensor))
    monkeypatch.setattr(
        Tensor, "unique", lambda tensor, **how: reads.append(tensor.device.type) or unique(tensor, **how)
    )
    step = next(steps)
    assert reads == ["cpu", "cpu"]  # the prompts drawn, which never leave the CPU, and the one read
    assert step.loss is not None and step.gradient is not None and step.gradient.min() > 0


def test_what_a_step_keeps_stays(tiny: Backbone, mug: Image) -> None:
    settings = InvertSettings(steps=3, held_out=2, optimizer="adamw")
    kept = []
    for step in invert(tiny, start(Words(words="red mug"), [], tiny), [mug], settings):
        kept.append((step, {name: tensor.clone() for name, tensor in step.state.items()}))
    assert len(kept) == 4 and len(kept[-1][1]) >= 3
    for step, before in kept:
        assert all(torch.equal(tensor, before[name]) for name, tensor in step.state.items())


def test_tensors_are_fetched_as_they_are() -> None:
    asked = [torch.tensor(2.5), torch.arange(6.0).view(2, 3), torch.zeros(0, 3)]
    found = fetched(*asked)
    assert all(torch.equal(one, other) for one, other in zip(found, asked, strict=True))
    found[0] += 1
    assert asked[0] == 2.5 and found[1].untyped_storage().size() == 6 * 4
