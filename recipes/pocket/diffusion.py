"""Trains the pocket model's text encoder and UNet, jointly and from nothing, on the autoencoder's latents.

``python -m recipes.pocket.diffusion`` writes ``build/pocket/pipeline``: an ordinary diffusers
``StableDiffusionPipeline`` folder. The loss is equation 1 of the papers (epsilon prediction) with
min-SNR weights (Hang et al. 2023, gamma 5), which matter only while training a denoiser.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from photowords.backbones.text.loading import name_as_published
from photowords.templates import OBJECT
from recipes.pocket import data, words
from recipes.pocket.autoencoder import tensor
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.training import Plan, device, options, train
from recipes.pocket.world import Spec, article, describe

PLAN = Plan(steps=4_400, batch=64, lr=1.5e-3, ema=0.998)
WIDTH = 192  # of the text encoder, and so of a placeholder's vector
GENERAL_WORDS = ("*", "*", "thing", "object")
"""Stand in for the object phrase in a few percent of the captions, as general words do in CLIP's."""


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
            in_channels=16,
            out_channels=16,
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
        """Latents (b, 16, 8, 8), timesteps (b,), token ids (b, 32) -> predicted noise (b, 16, 8, 8)."""
        text = self.text_encoder(ids).last_hidden_state
        prediction: Tensor = self.unet(noisy, timesteps, text).sample
        return prediction


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def training_caption(spec: Spec, draw: random.Random) -> str:
    """One of the many ways to caption a drawing; empty one time in ten, for classifier-free guidance."""
    if draw.random() < 0.1:
        return ""
    phrase = describe(spec)
    chance = draw.random()
    if chance < 0.07:
        phrase = draw.choice(GENERAL_WORDS)
    elif chance < 0.14:
        phrase = spec.object
    if spec.style != "photo":
        text = f"{STYLES[spec.style]} {article(phrase) if draw.random() < 0.8 else phrase}"
    else:
        chance = draw.random()
        if chance < 0.45:
            text = f"a photo of {article(phrase)}"
        elif chance < 0.65:
            text = f"a photo of {phrase}"
        elif chance < 0.75:
            text = phrase
        else:
            text = draw.choice(OBJECT).format(phrase)
    return text if draw.random() < 0.3 else f"{text} {SCENES[spec.scene]}"


def encode_all(folder: Path, pictures: np.ndarray) -> Tensor:
    """Posterior means of every picture, scaled, (n, 16, 8, 8) in float16; kept in a file named for what made them."""
    weights = (folder / "diffusion_pytorch_model.safetensors").read_bytes()
    cache = data.BUILD / f"latents-{len(pictures)}-{hashlib.sha256(weights).hexdigest()[:8]}.pt"
    if cache.exists():
        saved: Tensor = torch.load(cache, weights_only=True)
        return saved
    vae = AutoencoderKL.from_pretrained(folder)
    vae = vae.to(device(), torch.bfloat16).eval()
    with torch.no_grad():
        parts = [
            (vae.encode(tensor(pictures[i : i + 250])).latent_dist.mean.float() * vae.config.scaling_factor).half()
            for i in range(0, len(pictures), 250)
        ]
    latents = torch.cat(parts).cpu()
    torch.save(latents, cache)
    return latents


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = data.BUILD / "pipeline"
    pictures, specs = data.load()
    latents = encode_all(folder / "vae", pictures)[500:].to(device())
    del pictures
    specs = specs[500:]
    vocabulary = words.tokenizer()
    noise_scheduler = scheduler()
    alphas = noise_scheduler.alphas_cumprod.to(device())
    weight = (5 * (1 - alphas) / alphas).clamp(max=1)  # min(SNR, 5) / SNR
    model = Denoiser()
    denoise = torch.compile(model) if plan.compile else model

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        index = torch.randint(len(specs), (batch,), generator=generator)
        draw = random.Random(int(index[0]) * 1_000_003 + int(index[-1]))
        captions = [training_caption(specs[i], draw) for i in index.tolist()]
        ids = vocabulary(captions, padding="max_length", truncation=True, max_length=words.CONTEXT, return_tensors="pt")
        # Stratified timesteps: the same expectation, less variance.
        t = ((torch.arange(batch) + torch.rand(batch, generator=generator)) / batch * 1000).long().to(device())
        z = latents[index.to(device())].float()
        noise = torch.randn(z.shape, generator=generator).to(device())
        a = alphas[t].view(-1, 1, 1, 1)
        noisy = a.sqrt() * z + (1 - a).sqrt() * noise
        predicted = denoise(noisy.to(torch.bfloat16), t, ids.input_ids.to(device())).float()
        return ((predicted - noise) ** 2).mean((1, 2, 3)).mul(weight[t]).mean()

    weights = train("diffusion", model, loss, plan)
    model.float().load_state_dict(weights, strict=False)
    save_pipeline(model, folder)


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
