"""Stable Diffusion 3 and FLUX.1 against diffusers: its training step, prompts and pictures."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_loss_weighting_for_sd3
from huggingface_hub.utils._paths import filter_repo_objects
from PIL import Image
from tokenizers import AddedToken
from torch import Tensor, nn
from torch.nn import functional as F

from photowords import backbones, images
from photowords.backbones import Backbone
from photowords.backbones.stable_diffusion_3 import StableDiffusion3
from photowords.cli import main
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.fields import fields
from photowords.generation import generate
from photowords.initializers import start
from photowords.inversion import Problem, invert
from photowords.inversion.problem import stratified
from photowords.settings import SCHEDULERS, GenerateSettings, InvertSettings
from photowords.starts import Words
from photowords.templates import templates
from tests import small_models

MODELS: dict[str, Callable[[Path], Path]] = {
    "sd3": small_models.stable_diffusion_3,
    "sd3-without-t5": functools.partial(small_models.stable_diffusion_3, with_t5=False),
    "flux-dev": small_models.flux,
    "flux-schnell": small_models.flux_schnell,
}
HARD = "bon appetit teapot chequered 🫖 чайник"
"""Words that CLIP and T5 split differently."""


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS[name](tmp_path_factory.mktemp("small") / name)


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Any:
    return backbones.load(str(folder), "cpu", "fp32")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    """diffusers' own, loaded apart from the backbone."""
    return loaded(folder)


def loaded(folder: Path) -> Any:
    index = json.loads((folder / "model_index.json").read_text())
    absent = {part: None for part, value in index.items() if value == [None, None]}
    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, **absent)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def concept(backbone: Backbone, text: str = HARD) -> Concept:
    return start(Words(words=text), [], backbone, "mug")


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float64)


# --- (a) the training step ---


def textbook_step(
    folder: Path, rows: dict[str, Tensor], picture: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor
) -> tuple[float, list[Tensor]]:
    """A step of diffusers' train_dreambooth_sd3.py or train_dreambooth_flux.py, learning as its textual_inversion.py
    does: new tokens whose rows are appended to each table. The latents are the posterior's mode."""
    pipe = loaded(folder)
    is_flux = isinstance(pipe, FluxPipeline)
    ends = ("", "_2") if is_flux else ("", "_2", "_3")
    encoders = [e for end in ends if (e := getattr(pipe, f"text_encoder{end}")) is not None]
    tokenizers = [t for end in ends if (t := getattr(pipe, f"tokenizer{end}")) is not None]
    lengths = [77, 256 if "schnell" in folder.name else 512] if is_flux else [77, 77, 256]

    tables, input_ids = [], []
    for encoder, tokenizer, length, learned in zip(encoders, tokenizers, lengths, rows.values(), strict=False):
        placeholders = [f"<new{i}>" for i in range(len(learned))]
        assert tokenizer.add_tokens([AddedToken(token, normalized=False) for token in placeholders]) == len(learned)
        encoder.requires_grad_(False).eval()
        embedding = encoder.get_input_embeddings()
        embedding.weight = nn.Parameter(torch.cat([embedding.weight, learned]))
        encoder.set_input_embeddings(embedding)
        tables.append(embedding.weight)
        texts = [prompt.format(" ".join(placeholders)) for prompt in prompts]
        padded = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        input_ids.append(padded.input_ids)
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

    if is_flux:
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
        model_pred = FluxPipeline._unpack_latents(model_pred, height * 8, width * 8, 8)
        weighting_scheme = "none"
    else:
        clips = [encoder(ids, output_hidden_states=True) for encoder, ids in zip(encoders[:2], input_ids, strict=False)]
        clip_prompt_embeds = torch.cat([clip.hidden_states[-2] for clip in clips], dim=-1)
        t5_prompt_embed = encoders[2](input_ids[2])[0] if len(encoders) == 3 else torch.zeros(len(prompts), 256, 64)
        clip_prompt_embeds = F.pad(clip_prompt_embeds, (0, t5_prompt_embed.shape[-1] - clip_prompt_embeds.shape[-1]))
        model_pred = transformer(
            hidden_states=noisy_model_input,
            timestep=timesteps,
            encoder_hidden_states=torch.cat([clip_prompt_embeds, t5_prompt_embed], dim=-2),
            pooled_projections=torch.cat([clip[0] for clip in clips], dim=-1),
            return_dict=False,
        )[0]
        weighting_scheme = "logit_normal"
    weighting = compute_loss_weighting_for_sd3(weighting_scheme=weighting_scheme, sigmas=sigmas)
    target = noise - model_input
    loss = torch.mean((weighting.float() * (model_pred.float() - target.float()) ** 2).reshape(len(target), -1), 1)
    loss.mean().backward()
    gradients = [table.grad[-len(own) :] for table, own in zip(tables, rows.values(), strict=True)]
    return loss.mean().item(), gradients


def test_a_step_is_the_textbook_step(backbone: Any, folder: Path, mug: Image.Image) -> None:
    made = concept(backbone)
    problem = Problem(backbone, made, [mug], (), InvertSettings(held_out=4))
    batch = problem.held_out_batch
    assert len(set(batch.prompt.tolist())) == 4
    leaves = {encoder: made.vectors(encoder).requires_grad_() for encoder in made.encoders}
    loss = problem.loss(leaves, batch).mean()
    loss.backward()

    prompts = [templates("object")[i] for i in batch.prompt.tolist()]
    rows = {encoder: made.vectors(encoder) for encoder in made.encoders}
    expected, gradients = textbook_step(folder, rows, images.to_tensor(mug, 64), prompts, batch.noise, batch.t)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    for leaf, gradient in zip(leaves.values(), gradients, strict=True):
        assert leaf.grad is not None
        assert gradient.norm(dim=1).min() > 1e-9, "every row has a gradient of its own"
        assert (leaf.grad - gradient).norm() <= 1e-5 * gradient.norm()


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
    before, made = backbone.weights_hash(), concept(backbone)
    *_, last = invert(backbone, made, [mug], InvertSettings(steps=2, batch=2, held_out=4))
    assert backbone.weights_hash() == before
    modules = [part for part in backbone._pipe.components.values() if isinstance(part, nn.Module)]
    assert len(modules) == len(backbone.text_encoders) + 2
    assert all(p.grad is None and not p.requires_grad for module in modules for p in module.parameters())
    for encoder in made.encoders:
        assert ((last.concept.vectors(encoder) - made.vectors(encoder)).norm(dim=1) > 1e-3).all()
    assert last.held_out is not None and last.held_out.shape == (4,)


# --- (b) prompts ---


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
    made = concept(backbone)
    spliced = backbone.encode_prompt([["a photo of ", *made.refs, after]], made.embeddings()).tensors
    plain = backbone.encode_prompt([[f"a photo of {made.sentence}{after}"]], {}).tensors
    assert set(spliced) == {"prompt_embeds", "pooled_prompt_embeds"}
    assert all(torch.equal(spliced[part], plain[part]) for part in plain)


def test_schnell_gives_t5_half_as_many_tokens(name: str, backbone: Any) -> None:
    expected = {"sd3": 256, "sd3-without-t5": None, "flux-dev": 512, "flux-schnell": 256}[name]
    encoder = backbone.text_encoders.get("t5xxl")
    assert (encoder and encoder.context) == expected
    assert backbone.picture_size == 64


# --- (c) pictures ---


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
    made = concept(backbone, "blue teapot")
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


def test_of_a_repository_only_what_the_pipeline_holds_is_fetched() -> None:
    files = ["sd3.5_medium.safetensors", "text_encoders/t5xxl_fp16.safetensors"]
    files += ["text_encoder_3/model-00001-of-00002.safetensors", "transformer/diffusion_pytorch_model.safetensors"]
    assert list(filter_repo_objects(files, allow_patterns=[*StableDiffusion3.weight_files])) == files[2:]


def test_a_flow_saved_with_another_scheduler_is_refused(tmp_path: Path) -> None:
    folder = small_models.stable_diffusion_3(tmp_path / "sd3", with_t5=False)
    diffusers.DDIMScheduler().save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "DDIMScheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="DDIMScheduler, whose noise photowords does not know"):
        backbones.load(str(folder), "cpu", "fp32")
