"""Trains the pocket model's text encoder and UNet, jointly and from nothing, on the autoencoder's latents.

``python -m recipes.pocket.diffusion --minutes 60`` trains at a constant rate for an hour more; ``--finish 3000``
lets the rate fall to zero. Both write ``pipeline`` of the build folder: an ordinary diffusers
``StableDiffusionPipeline`` folder. The loss is equation 1 of the papers in the form of v-prediction (Salimans and Ho
2022), with timesteps of medium noise more often and each channel as much as it moves pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel, UniPCMultistepScheduler
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from photowords.backbones.text.loading import name_as_published
from recipes.pocket import captions, data, words
from recipes.pocket.autoencoder import CHANNELS, encoder_of, tensor
from recipes.pocket.autoencoder import trained as trained_autoencoder
from recipes.pocket.sprites import EMBLEMS
from recipes.pocket.training import Draw, Plan, device, noise, options, precision, train, warm_start, workers
from recipes.pocket.world import Picture

PLAN = Plan(steps=1_000_000, batch=64, lr=1.5e-3, decay_share=0.0, ema=0.998)
WIDTH = 192  # of the text encoder, and so of a placeholder's vector
AT_ONCE = 500 if torch.cuda.is_available() else 5  # pictures encoded at once: more do not fit a processor's caches
PAIRS = 0.4  # the share of two objects in a batch, above the world's: which colour belongs to which is learnt last
LEAST = 0.2  # of the mean: what the loss gives a channel at least; what moves no pixel stays a latent all the same
HARD = ("striped", "dotted", "checkered", *EMBLEMS)  # looks that are learnt last: twice as often as the world's


class Denoiser(nn.Module):
    """Text encoder and UNet as one module, so that one optimiser trains both."""

    def __init__(self) -> None:
        super().__init__()
        vocabulary = words.tokenizer()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary),
                hidden_size=WIDTH,
                intermediate_size=4 * WIDTH,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=words.CONTEXT,
                hidden_act="quick_gelu",
                bos_token_id=vocabulary.bos_token_id,
                eos_token_id=vocabulary.eos_token_id,
                pad_token_id=vocabulary.pad_token_id,
                projection_dim=WIDTH,
            )
        )
        self.unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=(160, 224),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,  # diffusers' old name for the number of heads
            norm_num_groups=16,
            resnet_time_scale_shift="scale_shift",
            # The pooled sentence joins the time embedding as well: whole-picture facts need no attention map.
            addition_embed_type="text",
            addition_embed_type_num_heads=4,
        )

    def forward(self, noisy: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """Latents (b, 48, 8, 8), timesteps (b,), token ids (b, 32) -> predicted velocity (b, 48, 8, 8)."""
        text = self.text_encoder(ids).last_hidden_state
        prediction: Tensor = self.unet(noisy, timesteps, text).sample
        return prediction


def scheduler() -> UniPCMultistepScheduler:
    """Stable Diffusion's noise schedule with more noise at its end, where a small grid of many channels still shows.

    25 steps of this solver (Zhao et al. 2023) draw what 100 of DDIM's do.
    """
    return UniPCMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.020,
        beta_schedule="scaled_linear",
        steps_offset=1,  # without effect here; the pipeline warns of another
        timestep_spacing="trailing",
        prediction_type="v_prediction",
    )


def how_often(specs: list[Picture]) -> Tensor:
    """The chance of each picture to be drawn into a batch: more for what is learnt last, (n,) of sum 1."""
    of_two = torch.tensor([len(spec.things) == 2 for spec in specs])
    weight = torch.tensor([1.0 + any(thing.look in HARD for thing in spec.things) for spec in specs])
    return torch.where(of_two, PAIRS / (weight * of_two).sum(), (1 - PAIRS) / (weight * ~of_two).sum()) * weight


def timesteps(batch: int, generator: torch.Generator) -> Tensor:
    """Timesteps (batch,) in 0-999: half of them even, half even from 100 to 600, both stratified.

    What is there is decided above that, and learnt early; there outlines and faces are, which are learnt last.
    """
    half = batch // 2
    even, other = (
        (torch.arange(count) + torch.rand(count, generator=generator)) / count for count in (batch - half, half)
    )
    return (torch.cat([even, 0.1 + 0.5 * other]) * 1000).long().clamp(0, 999)


@torch.no_grad()
def how_visible(folder: Path, latents: Tensor) -> Tensor:
    """How much the pixels move with each channel of the latents, as weights (48, 1, 1) of mean 1.

    The channels all get the same noise, but an error in one of them costs twenty times as much in pixels (squared) as
    the same error in another, and in fourteen of them nothing: those are lifted to ``LEAST`` before the mean is made 1.
    """
    vae = AutoencoderKL.from_pretrained(folder).to(device()).eval()
    z, generator = latents.float() / vae.config.scaling_factor, torch.Generator().manual_seed(0)
    drawn, moved = vae.decode(z).sample, torch.zeros(CHANNELS)
    for channel in range(CHANNELS):
        nudged = z.clone()
        nudged[:, channel] += 0.3 * noise(z[:, channel], generator)
        moved[channel] = (vae.decode(nudged).sample - drawn).square().mean()
    weights = (moved / moved.mean()).clamp(min=LEAST)
    return (weights / weights.mean()).view(-1, 1, 1).to(device())


def is_newer(made: Path, source: Path) -> bool:
    """Whether a file is there, and was made of another as that is now."""
    return made.exists() and made.stat().st_mtime >= source.stat().st_mtime


@torch.no_grad()
def encode_all(folder: Path, files: list[Path]) -> Tensor:
    """Posterior means of every picture of these shards, scaled, (n, 48, 8, 8) in float16.

    Each shard's are kept in a file, in a folder named for the encoder that made them. The workers share the work.
    """
    vae = AutoencoderKL.from_pretrained(folder)
    cache = data.BUILD / "latents" / encoder_of(vae)  # the decoder may be trained on
    cache.mkdir(parents=True, exist_ok=True)
    rank, count = workers()
    vae = vae.to(device(), precision()).eval()
    kept = {file: cache / f"{file.stem}.pt" for file in files}
    for file in [file for file in files if not is_newer(kept[file], file)][rank::count]:
        pictures = np.load(file, mmap_mode="r")
        parts = [
            vae.encode(tensor(np.array(pictures[at : at + AT_ONCE]))).latent_dist.mean.float().cpu()
            for at in range(0, data.SHARD, AT_ONCE)
        ]
        torch.save((torch.cat(parts) * vae.config.scaling_factor).half(), f"{kept[file]}.part")
        os.replace(f"{kept[file]}.part", kept[file])
    if count > 1:
        dist.barrier()
    return torch.cat([torch.load(file, weights_only=True) for file in kept.values()])


def draws(latents: Tensor, ids_of: Tensor, specs: list[Picture]) -> Draw:
    """What draws a batch: latents (b, 48, 8, 8) of pictures that are not held out, noise, timesteps (b,), and ids
    (b, 32) of one of each picture's captions, of ``ids_of`` (n, captions, 32)."""
    shares = how_often(specs[data.HELD_OUT :])

    def draw(generator: torch.Generator, batch: int) -> tuple[Tensor, ...]:
        index = torch.multinomial(shares, batch, replacement=True, generator=generator)
        index = (index + data.HELD_OUT).to(device())
        which = torch.randint(captions.COUNT, (batch,), generator=generator).to(device())
        t = timesteps(batch, generator).to(device())
        z = latents[index].float()
        return z, noise(z, generator), t, ids_of[index, which].long()

    return draw


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = data.BUILD / "pipeline"
    files = data.drawn(pairs=True)
    _, specs = data.load(files)
    ids_of = captions.caption_all(specs).to(device())
    vae = trained_autoencoder(plan.warm)
    latents = encode_all(vae, files).to(device())
    noise_scheduler = scheduler()
    alphas = noise_scheduler.alphas_cumprod.to(device())
    model = Denoiser()
    if plan.warm:
        warm_start(model, trained(Path(plan.warm) / "pipeline"))
    denoise = torch.compile(model) if plan.compile else model
    visible = how_visible(vae, latents[: data.HELD_OUT : 20])

    def loss(z: Tensor, epsilon: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        a = alphas[t].view(-1, 1, 1, 1)
        noisy = a.sqrt() * z + (1 - a).sqrt() * epsilon
        predicted = denoise(noisy.to(precision()), t, ids).float()
        return (visible * (predicted - (a.sqrt() * epsilon - (1 - a).sqrt() * z)).square()).mean()

    weights, _ = train("diffusion", model, loss, plan, draws(latents, ids_of, specs))
    model.float().load_state_dict(weights, strict=False)
    save_pipeline(model, folder)


def trained(folder: Path) -> dict[str, Tensor]:
    """The parameters of a trained pipeline, named as in Denoiser."""
    parts = {
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder"),
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet"),
    }
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def save_pipeline(model: Denoiser, folder: Path) -> None:
    """The whole pipeline in half precision, around the autoencoder that already lies in ``folder``."""
    StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae").half(),
        text_encoder=model.text_encoder.half().eval(),
        tokenizer=words.tokenizer(),
        unet=model.unet.half().eval(),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    name_as_published(folder / "text_encoder" / "model.safetensors")
    # Loaded without a dtype, transformers' part would else be in half and diffusers' in single precision.
    config = folder / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))


if __name__ == "__main__":
    main()
