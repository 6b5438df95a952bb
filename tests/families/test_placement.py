"""Learning with a model whose parts take turns on the device, or whose activations its memory does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from torch import Tensor

from photowords import backbones, images, pocket
from photowords.backbones import Backbone
from photowords.backbones.source import Source
from photowords.inversion import invert
from photowords.settings import InvertSettings
from tests import small_models

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=small_models.FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(backbone: Backbone) -> Mapping[str, Tensor]:
    """What is learned where there is room for everything."""
    return learned(backbone)


def learned(backbone: Backbone) -> Mapping[str, Tensor]:
    settings = InvertSettings(steps=2, batch=2, held_out=2, evaluate_every=2)
    photo = images.load_photo(pocket.view("mug"))
    *_, last = invert(backbone, small_models.words_concept(backbone), [photo], settings)
    return {name: last.concept.vectors(name) for name in last.concept.encoders}


def take_turns(pipe: Any, device: torch.device) -> None:
    """One part on the device at a time: it comes when it is called, and the others leave.

    As on a GPU, where it is accelerate's hooks that do this. What has left holds no numbers here; there, computing with
    it is an error, since it is on another device.
    """
    named = [part for part in pipe.model_cpu_offload_seq.split("->") if getattr(pipe, part, None) is not None]
    homes = {part: {weight: weight.data for weight in getattr(pipe, part).parameters()} for part in named}
    for part in named:

        def come(*_: Any, part: str = part) -> None:
            for other, home in homes.items():
                for weight, own in home.items():
                    weight.data = own if other == part else torch.full_like(own, float("nan"))

        getattr(pipe, part).register_forward_pre_hook(come)


def layer_by_layer(pipe: Any, device: torch.device) -> None:
    """What diffusers' own does, which asks for a GPU."""
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            accelerate.cpu_offload(part, device, offload_buffers=len(part._parameters) > 0)


@pytest.mark.parametrize(("how", "moves"), [("model", take_turns), ("sequential", layer_by_layer)])
def test_what_leaves_the_device_learns_the_same(
    folder: Path, whole: Mapping[str, Tensor], monkeypatch: pytest.MonkeyPatch, how: str, moves: Any
) -> None:
    family = backbones.family(folder, folder.name)
    monkeypatch.setattr(family.pipeline, f"enable_{how}_cpu_offload", moves)
    backbone = family(Source(folder, "small", str(folder)), CPU, torch.float32, how)
    moved = learned(backbone)
    for name, vectors in whole.items():
        assert torch.equal(moved[name], vectors), name
    assert backbone.spare_memory() is (how == "model"), "layer by layer it is spared from the beginning"


def test_computed_again_is_the_same_with_less_kept(folder: Path, whole: Mapping[str, Tensor]) -> None:
    backbone = backbones.load(str(folder), "cpu", "fp32")
    before = kept(backbone)
    assert backbone.spare_memory()
    assert not backbone.spare_memory(), "once is all there is"
    assert kept(backbone) < 0.5 * before
    again = learned(backbone)
    for name, vectors in whole.items():
        assert torch.allclose(again[name], vectors, rtol=0, atol=1e-6), name


def kept(backbone: Backbone) -> int:
    """Bytes that a prediction keeps for its gradient."""
    concept = small_models.words_concept(backbone)
    table = {name: concept.vectors(name).requires_grad_() for name in concept.encoders}
    told = backbone.encode_prompt([["a", *concept.refs]], concept.embeddings(table))
    mean = backbone.encode_picture(torch.zeros(1, 3, backbone.picture_size, backbone.picture_size)).mean
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        backbone.predict(mean, torch.tensor([500]), told)
    weights = {weight.untyped_storage().data_ptr() for weight in backbone._network.parameters()}  # type: ignore[attr-defined]
    return sum(size for place, size in held.items() if place not in weights)
