"""What a folder's configurations say, and what they do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from photowords import backbones, images
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.generation import generate
from photowords.settings import GenerateSettings
from tests import small_models


@pytest.fixture(scope="module")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.stable_diffusion_xl(tmp_path_factory.mktemp("xl") / "sdxl")


def test_text_encoders_have_the_files_precision_whatever_their_configs_say(xl_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xl_folder, tmp_path / "sdxl")
    for part in ("text_encoder", "text_encoder_2"):
        config = json.loads((folder / part / "config.json").read_text())
        config.pop("dtype", None)
        (folder / part / "config.json").write_text(json.dumps({**config, "torch_dtype": "float16"}))
    backbone = backbones.load(str(folder), "cpu", "fp32")
    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        own, _, pooled, _ = pipe.encode_prompt("a mug", device="cpu", do_classifier_free_guidance=False)
        told = backbone.encode_prompt([["a mug"]], {})
    assert torch.equal(told["prompt_embeds"], own) and torch.equal(told["pooled_prompt_embeds"], pooled)
    for name, encoder in backbone.text_encoders.items():
        part = {"clip_l": pipe.text_encoder, "clip_g": pipe.text_encoder_2}[name]
        assert torch.equal(encoder.table, part.get_input_embeddings().weight), name


def test_files_of_the_fp16_variant_are_taken_where_there_are_no_others(xl_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sdxl"
    diffusers.DiffusionPipeline.from_pretrained(xl_folder, dtype=torch.float16).save_pretrained(folder, variant="fp16")
    assert not [*folder.glob("*/model.safetensors"), *folder.glob("*/diffusion_pytorch_model.safetensors")]
    own, given = (backbones.load(str(one), "cpu", "fp32") for one in (folder, xl_folder))
    for name, encoder in own.text_encoders.items():
        assert torch.equal(encoder.table, given.text_encoders[name].table.half()), name
    plain, half = (generate(one, "a mug", [], [1], GenerateSettings(2))[0] for one in (given, own))
    assert 0 < np.abs(np.asarray(plain, float) - np.asarray(half, float)).max() < 8

    mixed = shutil.copytree(xl_folder, tmp_path / "mixed")
    for part in ("vae", "text_encoder"):
        (weights,) = (mixed / part).glob("*.safetensors")
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    alike = generate(backbones.load(str(mixed), "cpu", "fp32"), "a mug", [], [1], GenerateSettings(2))[0]
    assert np.array_equal(np.asarray(alike), np.asarray(plain))
    shutil.copytree(xl_folder, folder, dirs_exist_ok=True)  # plain files beside them
    both = generate(backbones.load(str(folder), "cpu", "fp32"), "a mug", [], [1], GenerateSettings(2))[0]
    assert np.array_equal(np.asarray(both), np.asarray(plain))


def test_ddim_clips_no_latents_of_a_model_that_was_saved_with_another_solver(xl_folder: Path) -> None:
    backbone: Any = backbones.load(str(xl_folder), "cpu", "fp32")
    generate(backbone, "a mug", [], [1], GenerateSettings(2, scheduler="ddim"))
    used = backbone._pipe.scheduler
    assert type(used) is diffusers.DDIMScheduler and type(backbone._scheduler("default")) is not type(used)
    assert (used.config.clip_sample, used.config.set_alpha_to_one) == (False, False)


@pytest.mark.parametrize("upcast", [True, False])
def test_an_autoencoder_that_overflows_in_fp16_works_in_fp32(
    upcast: bool, xl_folder: Path, tmp_path: Path, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(xl_folder, tmp_path / "sdxl")
    config = json.loads((folder / "vae" / "config.json").read_text())
    (folder / "vae" / "config.json").write_text(json.dumps({**config, "force_upcast": upcast}))
    backbone: Any = backbones.load(str(folder), "cpu", "fp16")
    vae, used = backbone._pipe.vae, []
    encode = vae.encode
    monkeypatch.setattr(vae, "encode", lambda x: (used.append(x.dtype), encode(x))[1])
    before, picture = backbone.weights_hash(), images.to_tensor(mug, 64)
    latents, rebuilt = backbone.encode_picture(picture), backbone.reconstruct(picture)
    assert used == [torch.float32 if upcast else torch.float16] * 2
    assert vae.dtype == torch.float16 and backbone.weights_hash() == before
    exact = backbones.load(str(folder), "cpu", "fp32")
    assert torch.allclose(latents.mean, exact.encode_picture(picture).mean, atol=0.02)
    assert torch.allclose(rebuilt, exact.reconstruct(picture), atol=0.05)
    assert np.asarray(generate(backbone, "a mug", [], [0], GenerateSettings(2))[0]).std() > 1


def test_a_noise_that_is_not_that_of_diffusion_is_refused(xl_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xl_folder, tmp_path / "sdxl")
    diffusers.EDMEulerScheduler().save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "EDMEulerScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="EDMEulerScheduler, whose noise photowords does not know"):
        backbones.load(str(folder), "cpu", "fp32")


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_one_part_may_be_pickled(part: str, tiny: Backbone, tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "mixed")
    weights = folder / part / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    assert backbones.load(str(folder), "cpu", "fp32").weights_hash() == tiny.weights_hash()
