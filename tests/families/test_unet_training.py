"""The training step of Stable Diffusion, Stable Diffusion XL and LDM text2im against diffusers' examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from photowords import backbones, images
from photowords.inversion import Problem, invert
from photowords.settings import InvertSettings
from photowords.templates import templates
from tests.families.textbook import our_step, with_new_tokens
from tests.small_models import TEAPOT, UNETS, own_pipeline, stable_diffusion, words_concept

PARTS = {"vae": "vae", "text_encoder": "text_encoder", "tokenizer": "tokenizer"}
LDM_PARTS = {"vae": "vqvae", "text_encoder": "bert", "tokenizer": "tokenizer"}


@pytest.fixture(scope="module", params=UNETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def textbook_step(
    folder: Path, rows: dict[str, Tensor], picture: Tensor, prompts: list[str], noise: Tensor, t: Tensor
) -> tuple[float, list[Tensor]]:
    """A step of diffusers' textual_inversion.py and textual_inversion_sdxl.py: new tokens whose rows are appended to
    each table, the mean squared error, and its gradient in these rows. The latents are the posterior's mode."""
    pipe = own_pipeline(folder)
    two = getattr(pipe, "text_encoder_2", None) is not None
    names = LDM_PARTS if hasattr(pipe, "bert") else PARTS
    vae = getattr(pipe, names["vae"])
    encoders = [getattr(pipe, names["text_encoder"])] + ([pipe.text_encoder_2] if two else [])
    tokenizers = [getattr(pipe, names["tokenizer"])] + ([pipe.tokenizer_2] if two else [])
    noise_scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")

    tables, input_ids = [], []
    for encoder, tokenizer, learned in zip(encoders, tokenizers, rows.values(), strict=True):
        table, ids = with_new_tokens(encoder, tokenizer, learned, prompts)
        tables.append(table)
        input_ids.append(ids)
    pipe.unet.requires_grad_(False).eval()

    with torch.no_grad():
        latents = vae.encode(picture).latent_dist.mode() * vae.config.scaling_factor
    latents = latents.expand(len(prompts), -1, -1, -1)
    noisy_latents = noise_scheduler.add_noise(latents, noise, t)
    if two:
        encoder_hidden_states_1 = encoders[0](input_ids[0], output_hidden_states=True).hidden_states[-2]
        encoder_output_2 = encoders[1](input_ids[1], output_hidden_states=True)
        encoder_hidden_states = torch.cat([encoder_hidden_states_1, encoder_output_2.hidden_states[-2]], dim=-1)
        add_time_ids = torch.tensor([[64, 64, 0, 0, 64, 64]] * len(prompts), dtype=torch.float32)
        added_cond_kwargs = {"text_embeds": encoder_output_2[0], "time_ids": add_time_ids}
        model_pred = pipe.unet(noisy_latents, t, encoder_hidden_states, added_cond_kwargs=added_cond_kwargs).sample
    else:
        encoder_hidden_states = encoders[0](input_ids[0])[0]
        model_pred = pipe.unet(noisy_latents, t, encoder_hidden_states).sample
    velocity = noise_scheduler.config.prediction_type == "v_prediction"
    target = noise_scheduler.get_velocity(latents, noise, t) if velocity else noise
    loss = F.mse_loss(model_pred.float(), target.float(), reduction="mean")
    loss.backward()
    return loss.item(), [table.grad[-len(own) :] for table, own in zip(tables, rows.values(), strict=True)]


def test_a_step_is_the_textbook_step(backbone: Any, folder: Path, mug: Image.Image) -> None:
    is_the_textbook_step(backbone, folder, mug)


def test_a_step_of_a_model_that_predicts_the_velocity_is_the_textbook_step(tmp_path: Path, mug: Image.Image) -> None:
    folder = stable_diffusion(tmp_path / "sd2", "v_prediction", width=48)
    is_the_textbook_step(backbones.load(str(folder), "cpu", "fp32"), folder, mug)


def is_the_textbook_step(backbone: Any, folder: Path, mug: Image.Image) -> None:
    made = words_concept(backbone, TEAPOT)
    problem = Problem(backbone, made, [mug], (), InvertSettings(held_out=4))
    batch = problem.held_out_batch
    assert batch.t.tolist() == [125, 375, 625, 875] and len(set(batch.prompt.tolist())) == 4
    loss, slopes = our_step(problem, batch)

    prompts = [templates("object")[i] for i in batch.prompt.tolist()]
    rows = {encoder: made.vectors(encoder) for encoder in made.encoders}
    expected, gradients = textbook_step(folder, rows, images.to_tensor(mug, 64), prompts, batch.noise, batch.t)
    assert loss == pytest.approx(expected, rel=1e-5)
    for slope, gradient in zip(slopes, gradients, strict=True):
        assert gradient.norm(dim=1).min() > 1e-6, "every row has a gradient of its own"
        assert (slope - gradient).norm() <= 1e-5 * gradient.norm()


def test_training_draws_are_of_the_scaled_posterior(backbone: Any, mug: Image.Image) -> None:
    problem = Problem(backbone, words_concept(backbone, TEAPOT), [mug], (), InvertSettings(batch=64))
    latents = backbone.encode_picture(images.to_tensor(mug, 64))
    drawn = (problem.draw(1).latents - latents.mean) / latents.std
    assert abs(drawn.mean()) < 0.03 and drawn.std().item() == pytest.approx(1, rel=0.03)


def test_nothing_but_the_words_learns(backbone: Any, mug: Image.Image) -> None:
    before, made = backbone.weights_hash(), words_concept(backbone, TEAPOT)
    *_, last = invert(backbone, made, [mug], InvertSettings(steps=2, batch=2, held_out=4))
    assert backbone.weights_hash() == before
    modules = [part for part in backbone._pipe.components.values() if isinstance(part, nn.Module)]
    assert len(modules) == len(backbone.text_encoders) + 2
    assert all(p.grad is None and not p.requires_grad for module in modules for p in module.parameters())
    for encoder in made.encoders:
        assert ((last.concept.vectors(encoder) - made.vectors(encoder)).norm(dim=1) > 1e-3).all()
    assert last.held_out is not None and last.held_out.shape == (4,)
