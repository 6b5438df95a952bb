"""Prompts and pictures of Stable Diffusion 3 and FLUX.1 against diffusers' pipelines."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from photowords import backbones
from photowords.backbones import Backbone
from photowords.cli import main
from photowords.errors import UserError
from photowords.fields import fields
from photowords.generation import generate
from photowords.prompts import parse
from photowords.settings import SCHEDULERS, GenerateSettings
from tests import small_models
from tests.small_models import FLOWS, HARD, words_concept


@pytest.fixture(scope="module", params=FLOWS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float64)


# --- prompts ---


@pytest.mark.parametrize(
    "prompt", ["a photo of a blue mug", "", "Ünïcödé чайник 日本 🫖, MUG!", "a mug  (on)... isn't it?"]
)
def test_plain_prompts_are_told_as_the_pipeline_tells_them(
    prompt: str, name: str, backbone: Any, pipeline: Any
) -> None:
    told = backbone.encode_prompt([[prompt] if prompt else []], {}).tensors
    with torch.no_grad():
        if "sd3" in name:
            hidden, _, pooled, _ = pipeline.encode_prompt(prompt, None, None, do_classifier_free_guidance=False)
        else:
            hidden, pooled, _ = pipeline.encode_prompt(prompt, max_sequence_length=256 if "schnell" in name else 512)
    assert torch.equal(told["prompt_embeds"], hidden) and torch.equal(told["pooled_prompt_embeds"], pooled)


@pytest.mark.parametrize("after", [", on the beach", " on the beach", "."])
def test_step_0_is_the_sentence_itself(after: str, backbone: Any) -> None:
    made = words_concept(backbone, HARD)
    spliced = backbone.encode_prompt([["a photo of ", *made.refs, after]], made.embeddings()).tensors
    plain = backbone.encode_prompt([[f"a photo of {made.sentence}{after}"]], {}).tensors
    assert set(spliced) == {"prompt_embeds", "pooled_prompt_embeds"}
    assert all(torch.equal(spliced[part], plain[part]) for part in plain)
    # and a swap changes its word alone: the comma is read as one after a word
    *_, last = made.names
    swapped = parse(f"a photo of {{{made.name}:{last}=cup}}{after}", {made.name: made})
    spliced = backbone.encode_prompt([swapped], made.embeddings()).tensors
    plain = backbone.encode_prompt([[f"a photo of {' '.join([*made.texts[:-1], 'cup'])}{after}"]], {}).tensors
    assert all(torch.equal(spliced[part], plain[part]) for part in plain)


def test_schnell_gives_t5_half_as_many_tokens(name: str, backbone: Any) -> None:
    expected = {"sd3": 256, "sd3-without-t5": None, "flux-dev": 512, "flux-schnell": 256}[name]
    encoder = backbone.text_encoders.get("t5xxl")
    assert (encoder and encoder.context) == expected
    assert backbone.picture_size == 64


# --- pictures ---


@pytest.mark.parametrize("settings", [{}, {"negative": "a blurry photo"}, {"guidance": 1.0}])
def test_pictures_are_the_pipelines_own(settings: dict[str, Any], name: str, backbone: Any, pipeline: Any) -> None:
    if "flux" in name and "negative" in settings:
        settings = {**settings, "true_cfg_scale": 4.0}
    if name == "flux-schnell":
        settings = {key: value for key, value in settings.items() if key != "guidance"}
    asked = GenerateSettings(steps=3, **settings)
    ours = generate(backbone, "a mug", [], [3, 7], asked)
    own: dict[str, Any] = {"negative_prompt": asked.negative} if asked.negative else {}
    own |= {"max_sequence_length": 256} if "schnell" in name else {}
    own |= {"true_cfg_scale": asked.true_cfg_scale} if asked.true_cfg_scale else {}
    scale = asked.guidance or (4.5 if "sd3" in name else 3.5)
    for seed, picture in zip([3, 7], ours, strict=True):
        theirs = pipeline(
            "a mug",
            generator=torch.Generator().manual_seed(seed),
            num_inference_steps=3,
            guidance_scale=scale,
            height=64,
            width=64,
            **own,
        ).images[0]
        assert picture.size == theirs.size == (64, 64)
        assert np.abs(pixels(picture) - pixels(theirs)).max() <= 1


def test_what_the_words_say_is_seen_in_the_picture(backbone: Any) -> None:
    """A random network hardly heeds its prompt, so the floats are compared and not the pixels."""
    made = words_concept(backbone, "blue teapot")
    settings = backbone.settle(GenerateSettings(steps=2))
    drawn = {}
    for encoder in ("", *made.encoders):
        moved = {
            e: v + (e == encoder) * v.std() * torch.randn_like(v) for e in made.encoders for v in [made.vectors(e)]
        }
        told = backbone.encode_prompt([["a photo of a", *made.refs]], made.embeddings(moved))
        drawn[encoder] = backbone.sample(told, told, [0], settings)
    for encoder in made.encoders:
        assert (drawn[encoder] - drawn[""]).abs().max() > 1e-5, encoder


def test_solvers_of_higher_order_come_to_the_same_picture(backbone: Any) -> None:
    """Of one equation: at many steps they differ from Euler's method as little as Euler's does from itself."""
    euler, finer = (generate(backbone, "a mug", [], [0], GenerateSettings(steps=steps))[0] for steps in (12, 24))
    apart = np.abs(pixels(euler) - pixels(finer)).mean()
    for scheduler in backbone.schedulers:
        solved = generate(backbone, "a mug", [], [0], GenerateSettings(steps=12, scheduler=scheduler))[0]
        assert np.abs(pixels(solved) - pixels(finer)).mean() <= max(2 * apart, 0.5), scheduler
    for scheduler in set(SCHEDULERS) - set(backbone.schedulers):
        with pytest.raises(
            UserError, match=rf"cannot be sampled with {scheduler.replace('+', '.')}; choose from default"
        ):
            generate(backbone, "a mug", [], [0], GenerateSettings(scheduler=scheduler))


def test_the_models_own_sampling_is_what_the_help_says(name: str, backbone: Any, tiny: Backbone) -> None:
    own = backbone.settle(GenerateSettings())
    expected = {"sd3": (28, 4.5, None), "flux-dev": (28, 3.5, 1.0), "flux-schnell": (4, None, 1.0)}
    assert (own.steps, own.guidance, own.true_cfg_scale) == expected[name.removesuffix("-without-t5")]
    assert backbone.settle(own) == own and backbone.settle(GenerateSettings(steps=7)).steps == 7
    usual = tiny.settle(GenerateSettings())
    said = fields(GenerateSettings)
    shown = {"sd3": "Stable Diffusion 3", "flux-dev": "FLUX.1-dev", "flux-schnell": "FLUX.1-schnell"}
    model = shown[name.removesuffix("-without-t5")]
    for setting in ("steps", "guidance"):
        told = said[setting].explained
        value = getattr(own, setting)
        assert f"the model's own: {getattr(usual, setting):g}," in told
        assert (f"{model} has none" if value is None else f"{value:g}") in told.split(model)[0] + told[
            told.index(model) :
        ]
        assert value is None or told.split(model)[1].strip().startswith((f"{value:g}", "and FLUX.1-dev 28"))


def test_what_a_model_does_not_have_is_refused(name: str, backbone: Any, tiny: Any) -> None:
    with pytest.raises(UserError, match="has no `true_cfg_scale`; leave it out"):
        tiny.settle(GenerateSettings(true_cfg_scale=4))
    if name == "flux-schnell":
        with pytest.raises(UserError, match="has no `guidance`; leave it out"):
            backbone.settle(GenerateSettings(guidance=3.0))
    unheard = GenerateSettings(negative="blurry") if "flux" in name else GenerateSettings(negative="blurry", guidance=1)
    scale = "true_cfg_scale" if "flux" in name else "guidance"
    with pytest.raises(UserError, match=f"a negative prompt does nothing at a `{scale}` of 1"):
        generate(backbone, "a mug", [], [0], unheard)
    heard: dict[str, Any] = {scale: 4.0}
    assert backbone.settle(dataclasses.replace(unheard, **heard)).negative == "blurry"


def test_the_values_used_are_recorded(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = ["generate", "a mug", "--out", str(tmp_path), "--model", str(folder), "--device", "cpu", "--json"]
    assert main([*drawn, "--steps", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    own = {"sd3": (4.5, None), "flux-dev": (3.5, 1.0), "flux-schnell": (None, 1.0)}[name.removesuffix("-without-t5")]
    assert told["settings"]["steps"] == 2
    assert (told["settings"]["guidance"], told["settings"]["true_cfg_scale"]) == own
    assert main([*drawn, "--scheduler", "pndm"]) == 2
    assert "cannot be sampled with pndm; choose from default" in capsys.readouterr().err


# --- what is special about each ---


def test_t5_keeps_in_fp32_what_overflows_in_fp16(tmp_path: Path) -> None:
    folder = small_models.flux(tmp_path / "flux")
    backbone: Any = backbones.load(str(folder), "cpu", "fp16")
    own = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float16).text_encoder_2
    kept = {name: p.dtype for name, p in backbone._pipe.text_encoder_2.named_parameters()}
    assert kept == {name: p.dtype for name, p in own.named_parameters()}
    assert torch.float32 in kept.values() and torch.float16 in kept.values()


def test_a_flow_saved_with_another_scheduler_is_refused(tmp_path: Path) -> None:
    folder = small_models.stable_diffusion_3(tmp_path / "sd3", with_t5=False)
    diffusers.DDIMScheduler().save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "DDIMScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="DDIMScheduler, whose noise photowords does not know"):
        backbones.load(str(folder), "cpu", "fp32")
