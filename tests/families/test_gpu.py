"""Every family on a pretended GPU, whole, part by part and layer by layer, by the real libraries' hooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from photowords import backbones, images, pocket
from photowords.backbones import Backbone
from photowords.inversion import invert
from photowords.settings import GenerateSettings, InvertSettings
from tests import small_models
from tests.pretended_gpu import CUDA, pretended_gpu


@pytest.fixture(scope="module", params=small_models.FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def learned(backbone: Backbone) -> tuple[Mapping[str, Tensor], Tensor]:
    """Vectors after a step on a photo and its mirror image, and a picture of what they were before."""
    concept = small_models.words_concept(backbone)
    settings = InvertSettings(steps=1, batch=2, held_out=1, evaluate_every=1, flip=True)
    *_, last = invert(backbone, concept, [images.load_photo(pocket.view("mug"))], settings)
    told = backbone.encode_prompt([["a photo of a ", *concept.refs]], concept.embeddings())
    nothing = backbone.encode_negative_prompt([""], {})
    picture = backbone.sample(told, nothing, [3], backbone.settle(GenerateSettings(steps=1)))
    return {name: last.concept.vectors(name) for name in last.concept.encoders}, picture


@pytest.fixture(scope="module")
def on_cpu(backbone: Backbone) -> tuple[Mapping[str, Tensor], Tensor]:
    return learned(backbone)


@pytest.mark.parametrize("how", ["none", "model", "sequential"])
def test_a_gpu_learns_and_draws_what_the_cpu_does(folder: Path, backbone: Backbone, on_cpu: Any, how: str) -> None:
    untouched = backbone.weights_hash()
    with pretended_gpu():
        there = backbones.load(str(folder), "cuda:0", "fp32", how)
        vectors, picture = learned(there)
        assert there.device == CUDA and there.weights_hash() == untouched
    for name, expected in on_cpu[0].items():
        assert type(vectors[name]) is Tensor and torch.allclose(vectors[name], expected, rtol=0, atol=1e-5), name
    assert torch.allclose(picture, on_cpu[1], rtol=0, atol=1e-4)


def test_a_part_has_the_gpu_for_itself(folder: Path) -> None:
    met: set[str] = set()
    with pretended_gpu():
        there = backbones.load(str(folder), "cuda:0", "fp32", "model")
        parts: list[Any] = there._modules()  # type: ignore[attr-defined]

        def look(part: Any, *_: Any) -> None:
            assert part.device.type == "cuda"
            beside = [type(other).__name__ for other in parts if other is not part and other.device.type == "cuda"]
            assert not beside, f"{beside} stayed while {type(part).__name__} works"
            met.add(type(part).__name__)

        for part in parts:
            part.register_forward_hook(look)
        learned(there)
    assert met == {type(part).__name__ for part in (parts[0], *parts[2:])}, "the autoencoder's forward is not called"


def test_what_is_computed_from_both_is_an_error() -> None:
    with pretended_gpu():
        there = torch.ones(3, device="cuda")
        assert there.device == CUDA and (there + 1).sum().item() == 6 and type((2 * there).cpu()) is Tensor
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            there + torch.ones(3)
