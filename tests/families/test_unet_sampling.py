"""Prompts and pictures of Stable Diffusion, Stable Diffusion XL and LDM text2im against diffusers' pipelines."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones
from photowords.backbones import ALIASES, FAMILIES
from photowords.errors import UserError
from photowords.generation import generate
from photowords.inversion import invert
from photowords.settings import SCHEDULERS, GenerateSettings, InvertSettings
from tests import small_models
from tests.small_models import TEAPOT, UNETS, words_concept


@pytest.fixture(scope="module", params=UNETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.stable_diffusion_xl(tmp_path_factory.mktemp("xl") / "sdxl")


@pytest.fixture(scope="module")
def ldm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.ldm(tmp_path_factory.mktemp("bert") / "ldm")


# --- prompts ---

PLAIN = ["a photo of a blue mug", "", "Ünïcödé чайник 日本 🫖, MUG!", "a mug  (on the beach)... isn't it?"]


def own_conditioning(pipe: Any, prompt: str) -> dict[str, Tensor]:
    """The pipeline's conditioning of a prompt, by its ``encode_prompt``; LDM's call has it in its lines."""
    with torch.no_grad():
        if hasattr(pipe, "bert"):
            ids = pipe.tokenizer(
                [prompt], padding="max_length", max_length=77, truncation=True, return_tensors="pt"
            ).input_ids
            return {"prompt_embeds": pipe.bert(ids)[0]}
        positive, _, *pooled = pipe.encode_prompt(prompt, device="cpu", **_once(pipe))
    return {"prompt_embeds": positive, **({"pooled_prompt_embeds": pooled[0]} if pooled else {})}


def _once(pipe: Any) -> dict[str, Any]:
    return {"num_images_per_prompt": 1, "do_classifier_free_guidance": True}


@pytest.mark.parametrize("prompt", PLAIN)
def test_plain_prompts_are_told_as_the_pipeline_tells_them(prompt: str, backbone: Any, pipeline: Any) -> None:
    told = backbone.encode_prompt([[prompt] if prompt else []], {}).tensors
    own = own_conditioning(pipeline, prompt)
    assert set(told) == set(own)
    for part in own:
        assert torch.equal(told[part], own[part]), part


def test_step_0_is_the_sentence_itself(backbone: Any) -> None:
    made = words_concept(backbone, "bon appetit teapot chequered 🫖 чайник")
    spliced = backbone.encode_prompt([["a photo of a", *made.refs, ", on the beach"]], made.embeddings()).tensors
    plain = backbone.encode_prompt([[f"a photo of a {made.sentence}, on the beach"]], {}).tensors
    assert all(torch.equal(spliced[part], plain[part]) for part in plain)


def test_a_letter_that_bert_does_not_know_is_one_vector(ldm_folder: Path, mug: Image.Image) -> None:
    backbone = backbones.load(str(ldm_folder), "cpu", "fp32")
    made = words_concept(backbone, "teapot 🫖 чайник")
    assert made.sizes("bert") == [2, 1, 1]
    assert torch.equal(made.words[1].vectors["bert"], made.words[2].vectors["bert"]), "[UNK], both of them"
    *_, last = invert(backbone, made, [mug], InvertSettings(steps=2, batch=2, held_out=4))
    _, emoji, cyrillic = last.concept.words
    assert not torch.equal(emoji.vectors["bert"], cyrillic.vectors["bert"]), "each goes its own way"


# --- pictures ---


@pytest.mark.parametrize(("guidance", "negative"), [(1.0, ""), (5.0, ""), (5.0, "a blurry photo")])
def test_pictures_are_the_pipelines_own(guidance: float, negative: str, backbone: Any, pipeline: Any) -> None:
    if negative and hasattr(pipeline, "bert"):
        pytest.skip("LDM's pipeline takes no negative prompt")
    ours = generate(backbone, "a mug", [], [3, 7], GenerateSettings(4, guidance, negative=negative))
    unwanted = {"negative_prompt": negative} if negative else {}
    for seed, picture in zip([3, 7], ours, strict=True):
        own = pipeline(
            "a mug",
            **unwanted,
            generator=torch.Generator().manual_seed(seed),
            num_inference_steps=4,
            guidance_scale=guidance,
        ).images[0]
        assert picture.size == own.size == (64, 64)
        assert np.abs(np.asarray(picture, int) - np.asarray(own, int)).max() <= 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_ldm_draws_with_every_scheduler_as_stable_diffusion_does(scheduler: str, ldm_folder: Path) -> None:
    """LDM's own pipeline is right for some schedulers only; that of Stable Diffusion, made of its parts, for all."""
    backbone: Any = backbones.load(str(ldm_folder), "cpu", "fp32")
    ours = generate(backbone, "a mug", [], [1, 2], GenerateSettings(6, scheduler=scheduler))
    parts = (backbone._pipe.vqvae, backbone._pipe.bert, backbone._pipe.tokenizer, backbone._pipe.unet)
    other = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)  # it would change the configuration of ours
    pipe = diffusers.StableDiffusionPipeline(*parts, other, None, None, requires_safety_checker=False)
    pipe.scheduler = backbone._pipe.scheduler
    pipe.set_progress_bar_config(disable=True)
    own = pipe(
        prompt_embeds=backbone.encode_prompt([["a mug"]] * 2, {})["prompt_embeds"],
        negative_prompt_embeds=backbone.encode_prompt([[]] * 2, {})["prompt_embeds"],
        generator=[torch.Generator().manual_seed(seed) for seed in (1, 2)],
        num_inference_steps=6,
        guidance_scale=5,
    ).images
    for picture, expected in zip(ours, own, strict=True):
        assert np.asarray(picture).std() > 1
        assert np.abs(np.asarray(picture, int) - np.asarray(expected, int)).max() <= 1


# --- what is special about each ---


def test_the_layout_of_the_published_xl_loads(xl_folder: Path, tmp_path: Path) -> None:
    """No image encoder in its index, and an end token that is not its tokenizers': CLIP then takes the largest id."""
    folder = shutil.copytree(xl_folder, tmp_path / "sdxl")
    index = json.loads((folder / "model_index.json").read_text())
    kept = {key: value for key, value in index.items() if key not in ("image_encoder", "feature_extractor")}
    (folder / "model_index.json").write_text(json.dumps(kept))
    for part in ("text_encoder", "text_encoder_2"):
        config = json.loads((folder / part / "config.json").read_text())
        (folder / part / "config.json").write_text(json.dumps({**config, "eos_token_id": 2}))
    backbone = backbones.load(str(folder), "cpu", "fp32")
    made = words_concept(backbone, TEAPOT)
    spliced = backbone.encode_prompt([["a photo of a", *made.refs, "on the beach"]], made.embeddings()).tensors
    plain = backbone.encode_prompt([[f"a photo of a {made.sentence} on the beach"]], {}).tensors
    other = backbone.encode_prompt([[f"a photo of a {made.sentence} on the grass"]], {}).tensors
    assert all(torch.equal(spliced[part], plain[part]) for part in plain)
    assert not torch.equal(plain["pooled_prompt_embeds"], other["pooled_prompt_embeds"])


@pytest.mark.parametrize("zeros", [True, False])
def test_no_negative_prompt_is_told_as_the_pipeline_tells_it(zeros: bool, xl_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xl_folder, tmp_path / "sdxl")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "force_zeros_for_empty_prompt": zeros}))
    backbone = backbones.load(str(folder), "cpu", "fp32")
    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder)
    with torch.no_grad():
        _, negative, _, pooled = pipe.encode_prompt("a mug", device="cpu", **_once(pipe))
        told = backbone.encode_negative_prompt([], {})
    assert torch.equal(told["prompt_embeds"], negative) and torch.equal(told["pooled_prompt_embeds"], pooled)
    assert bool((negative == 0).all()) == zeros


def test_pickled_weights_run_no_code(ldm_folder: Path, tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    folder = shutil.copytree(ldm_folder, tmp_path / "ldm")
    for part in ("bert/pytorch_model.bin", "unet/diffusion_pytorch_model.bin"):
        kept = (folder / part).read_bytes()
        (folder / part).write_bytes(pickle.dumps(Malice(), protocol=2))
        with pytest.raises(UserError, match="cannot be loaded"):
            backbones.load(str(folder), "cpu", "fp32")
        torch.save({"weight": Malice()}, folder / part)
        with pytest.raises(UserError, match="cannot be loaded"):
            backbones.load(str(folder), "cpu", "fp32")
        (folder / part).write_bytes(kept)
    assert not (tmp_path / "ran").exists()
    assert backbones.load(str(folder), "cpu", "fp32").picture_size == 64


def test_pickled_weights_load_without_a_word(ldm_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    generate(backbones.load(str(ldm_folder), "cpu", "fp32"), "a mug", [], [0], GenerateSettings(2))
    assert capfd.readouterr() == ("", "")


def test_an_ldm_that_was_saved_again_loads(ldm_folder: Path, tmp_path: Path) -> None:
    """diffusers now saves safetensors."""
    before = backbones.load(str(ldm_folder), "cpu", "fp32")
    diffusers.DiffusionPipeline.from_pretrained(ldm_folder).save_pretrained(tmp_path / "again")
    assert not list((tmp_path / "again").rglob("*.bin"))
    assert backbones.load(str(tmp_path / "again"), "cpu", "fp32").weights_hash() == before.weights_hash()


def test_families_have_short_names() -> None:
    assert {"sdxl", "ldm"} <= set(ALIASES) and all("GB" in ALIASES[short][1] for short in ("sdxl", "ldm"))
    assert all(hasattr(diffusers, kind) for kind in FAMILIES)
