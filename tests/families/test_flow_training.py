"""The training step of Stable Diffusion 3 and FLUX.1 against diffusers' examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_loss_weighting_for_sd3
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from photowords import images
from photowords.inversion import Problem, invert
from photowords.inversion.problem import stratified
from photowords.settings import InvertSettings
from photowords.templates import templates
from tests.families.textbook import our_step, with_new_tokens
from tests.small_models import FLOWS, HARD, own_pipeline, words_concept


@pytest.fixture(scope="module", params=FLOWS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def flux_prediction(
    transformer: Any, encoders: list[Any], input_ids: list[Tensor], noisy_model_input: Tensor, timesteps: Tensor
) -> Tensor:
    prompt_embeds = encoders[1](input_ids[1])[0]
    pooled_prompt_embeds = encoders[0](input_ids[0], output_hidden_states=False).pooler_output
    count, channels, height, width = noisy_model_input.shape
    guided = transformer.config.guidance_embeds
    model_pred = transformer(
        hidden_states=FluxPipeline._pack_latents(noisy_model_input, count, channels, height, width),
        timestep=timesteps / 1000,
        guidance=torch.tensor([1.0]).expand(count) if guided else None,  # --guidance_scale=1, as its README has it
        pooled_projections=pooled_prompt_embeds,
        encoder_hidden_states=prompt_embeds,
        txt_ids=torch.zeros(prompt_embeds.shape[1], 3),
        img_ids=FluxPipeline._prepare_latent_image_ids(count, height // 2, width // 2, "cpu", torch.float32),
        return_dict=False,
    )[0]
    unpacked: Tensor = FluxPipeline._unpack_latents(model_pred, height * 8, width * 8, 8)
    return unpacked


def sd3_prediction(
    transformer: Any, encoders: list[Any], input_ids: list[Tensor], noisy_model_input: Tensor, timesteps: Tensor
) -> Tensor:
    count = len(noisy_model_input)
    clips = [encoder(ids, output_hidden_states=True) for encoder, ids in zip(encoders[:2], input_ids, strict=False)]
    clip_prompt_embeds = torch.cat([clip.hidden_states[-2] for clip in clips], dim=-1)
    t5_prompt_embed = encoders[2](input_ids[2])[0] if len(encoders) == 3 else torch.zeros(count, 256, 64)
    clip_prompt_embeds = F.pad(clip_prompt_embeds, (0, t5_prompt_embed.shape[-1] - clip_prompt_embeds.shape[-1]))
    model_pred: Tensor = transformer(
        hidden_states=noisy_model_input,
        timestep=timesteps,
        encoder_hidden_states=torch.cat([clip_prompt_embeds, t5_prompt_embed], dim=-2),
        pooled_projections=torch.cat([clip[0] for clip in clips], dim=-1),
        return_dict=False,
    )[0]
    return model_pred


def textbook_step(
    folder: Path, rows: dict[str, Tensor], picture: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor
) -> tuple[float, list[Tensor]]:
    """A step of diffusers' train_dreambooth_sd3.py or train_dreambooth_flux.py, learning as its textual_inversion.py
    does: new tokens whose rows are appended to each table. The latents are the posterior's mode."""
    pipe = own_pipeline(folder)
    is_flux = isinstance(pipe, FluxPipeline)
    ends = ("", "_2") if is_flux else ("", "_2", "_3")
    encoders = [e for end in ends if (e := getattr(pipe, f"text_encoder{end}")) is not None]
    tokenizers = [t for end in ends if (t := getattr(pipe, f"tokenizer{end}")) is not None]
    lengths = [77, 256 if "schnell" in folder.name else 512] if is_flux else [77, 77, 256]

    tables, input_ids = [], []
    for encoder, tokenizer, length, learned in zip(encoders, tokenizers, lengths, rows.values(), strict=False):
        table, ids = with_new_tokens(encoder, tokenizer, learned, prompts, length)
        tables.append(table)
        input_ids.append(ids)
    transformer = pipe.transformer.requires_grad_(False).eval()

    vae = pipe.vae
    with torch.no_grad():
        model_input = vae.encode(picture).latent_dist.mode()
    model_input = (model_input - vae.config.shift_factor) * vae.config.scaling_factor
    model_input = model_input.expand(len(prompts), -1, -1, -1)

    noise_scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
    step_indices = [(noise_scheduler.timesteps == t).nonzero().item() for t in timesteps]
    sigmas = noise_scheduler.sigmas[step_indices].view(-1, 1, 1, 1)
    noisy_model_input = (1.0 - sigmas) * model_input + sigmas * noise

    predicted = (flux_prediction if is_flux else sd3_prediction)(
        transformer, encoders, input_ids, noisy_model_input, timesteps
    )
    weighting_scheme = "none" if is_flux else "logit_normal"
    weighting = compute_loss_weighting_for_sd3(weighting_scheme=weighting_scheme, sigmas=sigmas)
    target = noise - model_input
    loss = torch.mean((weighting.float() * (predicted.float() - target.float()) ** 2).reshape(len(target), -1), 1)
    loss.mean().backward()
    gradients = [table.grad[-len(own) :] for table, own in zip(tables, rows.values(), strict=True)]
    return loss.mean().item(), gradients


def test_a_step_is_the_textbook_step(backbone: Any, folder: Path, mug: Image.Image) -> None:
    made = words_concept(backbone, HARD)
    problem = Problem(backbone, made, [mug], (), InvertSettings(held_out=4))
    batch = problem.held_out_batch
    assert len(set(batch.prompt.tolist())) == 4
    loss, slopes = our_step(problem, batch)

    prompts = [templates("object")[i] for i in batch.prompt.tolist()]
    rows = {encoder: made.vectors(encoder) for encoder in made.encoders}
    expected, gradients = textbook_step(folder, rows, images.to_tensor(mug, 64), prompts, batch.noise, batch.t)
    assert loss == pytest.approx(expected, rel=1e-5)
    for slope, gradient in zip(slopes, gradients, strict=True):
        assert gradient.norm(dim=1).min() > 1e-9, "every row has a gradient of its own"
        assert (slope - gradient).norm() <= 1e-5 * gradient.norm()


def test_timesteps_are_drawn_as_in_the_training_examples(backbone: Any, folder: Path) -> None:
    """``--weighting_scheme`` is logit_normal in the example of SD 3, and none, which is uniform, in that of FLUX.1;
    both index the scheduler's own table, which the shift by the picture's size does not touch."""
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
    scheme = "logit_normal" if "sd3" in folder.name else "none"
    u = compute_density_for_timestep_sampling(scheme, 200_000, 0.0, 1.0, generator=torch.Generator().manual_seed(0))
    theirs = scheduler.timesteps[(u * 1000).long().clamp(max=999)].sort().values[1000::2000]
    ours = backbone.objective.timesteps(stratified(100))
    assert set(ours.tolist()) <= set(scheduler.timesteps.tolist())
    assert (ours.diff() > 0).all() and (ours - theirs).abs().max() < 8
    middle = {"sd3": 750, "flu": 500}[folder.name[:3]]  # of noise levels; a shift of 3 moves 1/2 to 3/4
    assert backbone.objective.timesteps(torch.tensor([0.5])).item() == pytest.approx(middle, abs=1)


def test_nothing_but_the_words_learns(backbone: Any, mug: Image.Image) -> None:
    before, made = backbone.weights_hash(), words_concept(backbone, HARD)
    *_, last = invert(backbone, made, [mug], InvertSettings(steps=2, batch=2, held_out=4))
    assert backbone.weights_hash() == before
    modules = [part for part in backbone._pipe.components.values() if isinstance(part, nn.Module)]
    assert len(modules) == len(backbone.text_encoders) + 2
    assert all(p.grad is None and not p.requires_grad for module in modules for p in module.parameters())
    for encoder in made.encoders:
        assert ((last.concept.vectors(encoder) - made.vectors(encoder)).norm(dim=1) > 1e-3).all()
    assert last.held_out is not None and last.held_out.shape == (4,)
