"""Attention in plain matrix products where those are faster: the same gradient, and only there."""

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from PIL.Image import Image
from torch import Tensor

from photowords import backbones
from photowords.backbones import Backbone, kernels
from photowords.backbones.pipeline import PipelineBackbone
from photowords.initializers import start
from photowords.inversion.problem import Problem
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.families.textbook import our_step


def attention(backbone: Backbone) -> tuple[set[type], str]:
    assert isinstance(backbone, PipelineBackbone)
    pipe = backbone._pipe
    return {type(one) for one in pipe.unet.attn_processors.values()}, pipe.text_encoder.config._attn_implementation


def gradient(backbone: Backbone, photo: Image) -> Tensor:
    concept = start(Words(words="blue and white checkered mug"), [photo], backbone)
    problem = Problem(backbone, concept, [photo], (), InvertSettings(held_out=1))
    _, (slope,) = our_step(problem, problem.draw(1))
    return slope


def test_plain_attention_is_as_near_to_fp32_as_the_fused_one(
    pocket_model: Backbone, mug: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = backbones.load("pocket", "cpu", "bf16")
    monkeypatch.setattr(kernels, "FEW", 0)
    fused = backbones.load("pocket", "cpu", "bf16")
    assert attention(plain) == ({AttnProcessor}, "eager")
    assert attention(fused)[0] == {AttnProcessor2_0}
    exact = gradient(pocket_model, mug)
    errors = [((gradient(model, mug) - exact).norm() / exact.norm()).item() for model in (plain, fused)]
    assert errors[0] < 0.03 and errors[0] < 1.3 * errors[1], errors


def test_fp32_and_other_devices_keep_fused_attention(pocket_model: Backbone) -> None:
    assert attention(pocket_model) == ({AttnProcessor2_0}, "sdpa")
    assert isinstance(pocket_model, PipelineBackbone)
    pipe = backbones.load("pocket", "cpu", "bf16")._pipe  # type: ignore[attr-defined]
    pipe.unet.set_attn_processor(AttnProcessor2_0())
    kernels.choose(pipe, torch.device("cuda"))
    assert {type(one) for one in pipe.unet.attn_processors.values()} == {AttnProcessor2_0}
    assert pipe.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
