"""docs/families.md says that a further family is one new file and one line of the registry. Here is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel
from PIL import Image

from photowords import backbones, images
from photowords.backbones import FAMILIES
from photowords.generation import generate
from photowords.initializers import start
from photowords.inversion import Problem, invert
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Words
from photowords.templates import templates
from tests import small_parts

SENTENCE = "Bon appetit teapot 🫖"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random PixArt of 256 px."""
    torch.manual_seed(0)
    encoder, tokenizer = small_parts.t5_encoder(48), small_parts.t5_tokenizer(120)
    network = PixArtTransformer2DModel(
        sample_size=32,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=32,
        caption_channels=48,
    )
    scheduler = DPMSolverMultistepScheduler(beta_end=0.02, beta_start=0.0001, beta_schedule="linear")
    made = tmp_path_factory.mktemp("sixth") / "pixart"
    PixArtAlphaPipeline(tokenizer, encoder, small_parts.autoencoder(), network, scheduler).save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "PixArtAlphaPipeline", "tests.families.sixth_family:PixArtAlpha")  # the one line
        return backbones.load(str(folder), "cpu", "fp32")


@pytest.mark.parametrize("prompt", ["a photo of a Blue mug", "", "чайник, MUG!"])
def test_it_is_told_a_prompt_as_its_pipeline_tells_it(prompt: str, backbone: Any, pipeline: Any) -> None:
    with torch.no_grad():
        told = backbone.encode_prompt([[prompt] if prompt else []], {})
        embeds, mask, *_ = pipeline.encode_prompt(prompt, device="cpu")
    assert torch.equal(told["prompt_embeds"], embeds) and torch.equal(told["prompt_attention_mask"], mask)


def test_it_trains(backbone: Any, pipeline: Any, folder: Path, mug: Image.Image) -> None:
    concept = start(Words(words=SENTENCE), [], backbone, "pot")
    problem, before = Problem(backbone, concept, [mug], (), InvertSettings(held_out=4)), backbone.weights_hash()
    batch = problem.held_out_batch
    loss = problem.held_out({"t5xxl": concept.vectors("t5xxl")})
    with torch.no_grad():
        latents = (
            pipeline.vae.encode(images.to_tensor(mug, 256)).latent_dist.mode() * pipeline.vae.config.scaling_factor
        )
        scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
        texts = [templates("object")[i].format(SENTENCE) for i in batch.prompt.tolist()]
        embeds, mask, *_ = pipeline.encode_prompt(texts, do_classifier_free_guidance=False, device="cpu")
        predicted = pipeline.transformer(
            scheduler.add_noise(latents.expand(4, -1, -1, -1), batch.noise, batch.t),
            encoder_hidden_states=embeds,
            encoder_attention_mask=mask,
            timestep=batch.t,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample[:, :4]
    assert torch.allclose(loss, (predicted - batch.noise).square().mean(dim=(1, 2, 3)), rtol=1e-5)

    steps = list(invert(backbone, concept, [mug], InvertSettings(steps=4, batch=2, held_out=4)))
    first, last = steps[0].held_out, steps[-1].held_out
    assert first is not None and last is not None
    assert torch.allclose(first, loss, rtol=1e-5) and last.isfinite().all()
    moved = (steps[-1].concept.vectors("t5xxl") - concept.vectors("t5xxl")).norm(dim=1)
    assert (moved > 1e-3).all() and backbone.weights_hash() == before


def test_it_draws_as_its_pipeline_does(backbone: Any, pipeline: Any) -> None:
    drawn = generate(backbone, "a mug", [], [7], GenerateSettings(steps=3))[0]
    own = pipeline(
        "a mug",
        num_inference_steps=3,
        guidance_scale=4.5,
        generator=torch.Generator().manual_seed(7),
        clean_caption=False,
    ).images[0]
    assert drawn.size == own.size == (256, 256)
    assert np.abs(np.asarray(drawn, int) - np.asarray(own, int)).max() <= 1
