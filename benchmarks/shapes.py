"""Models of the published shapes with random weights: Stable Diffusion 1.5, XL and 3.5 medium, and FLUX.1-dev.

Tokenizers are small ones, so a prompt's tokens differ from the real models'; its padded length does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from tests.small_parts import clip_tokenizer, t5_tokenizer

CLIP_L = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
CLIP_G = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
T5_XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


def blank(make: Callable[[], nn.Module]) -> Any:
    """A module with random weights in bf16, without the minutes that its own initialisation takes."""
    with torch.device("meta"):
        module = make().to(torch.bfloat16)
    module = module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.02, generator=generator)
            else:
                parameter.fill_(0.0)
        for part in module.modules():
            if "Norm" in type(part).__name__ and isinstance(weight := getattr(part, "weight", None), nn.Parameter):
                weight.fill_(1.0)
    return module


def clip(shape: dict[str, Any], projected: bool = False) -> Any:
    """A CLIP text encoder; a projection is the second encoder's, or both of the flow families'."""
    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.CLIPTextConfig(**{"projection_dim": 768, **shape, **ends})
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return blank(lambda: kind(config))


def autoencoder(channels: int, side: int) -> Any:
    return blank(lambda: diffusers.AutoencoderKL(**VAE, latent_channels=channels, sample_size=side))


def sd15(fraction: float) -> Any:
    unet = blank(
        lambda: diffusers.UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
        )
    )
    scheduler = diffusers.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True)
    parts = (autoencoder(4, 512), clip(CLIP_L), clip_tokenizer(), unet, scheduler, None, None)
    return diffusers.StableDiffusionPipeline(*parts, requires_safety_checker=False)


def sdxl(fraction: float) -> Any:
    unet = blank(
        lambda: diffusers.UNet2DConditionModel(
            sample_size=128,
            cross_attention_dim=2048,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(5, 10, 20),
            transformer_layers_per_block=(1, 2, 10),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    )
    encoders = clip(CLIP_L), clip(CLIP_G, projected=True)
    tokenizers = clip_tokenizer(), clip_tokenizer(pad_token="!")
    scheduler = diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear")
    return diffusers.StableDiffusionXLPipeline(autoencoder(4, 1024), *encoders, *tokenizers, unet, scheduler)


def sd35_medium(fraction: float) -> Any:
    network = blank(
        lambda: diffusers.SD3Transformer2DModel(
            sample_size=128,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=max(1, round(24 * fraction)),
            num_attention_heads=24,
            attention_head_dim=64,
            caption_projection_dim=1536,
            joint_attention_dim=4096,
            pooled_projection_dim=2048,
            pos_embed_max_size=384,
            dual_attention_layers=tuple(range(max(1, round(13 * fraction)))),
            qk_norm="rms_norm",
        )
    )
    return diffusers.StableDiffusion3Pipeline(
        network,
        diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        autoencoder(16, 1024),
        clip(CLIP_L, projected=True),
        clip_tokenizer(),
        clip(CLIP_G, projected=True),
        clip_tokenizer(pad_token="!"),
        t5_xxl(fraction),
        t5_tokenizer(),
    )


def flux_dev(fraction: float) -> Any:
    network = blank(
        lambda: diffusers.FluxTransformer2DModel(
            guidance_embeds=True,
            num_layers=max(1, round(19 * fraction)),
            num_single_layers=max(1, round(38 * fraction)),
        )
    )
    return diffusers.FluxPipeline(
        diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        autoencoder(16, 1024),
        clip(CLIP_L),
        clip_tokenizer(),
        t5_xxl(fraction),
        t5_tokenizer(),
        network,
    )


def t5_xxl(fraction: float) -> Any:
    layers = max(1, round(24 * fraction))
    return blank(lambda: transformers.T5EncoderModel(transformers.T5Config(**{**T5_XXL, "num_layers": layers})))


MODELS: dict[str, tuple[Callable[[float], Any], float]] = {
    "sd15": (sd15, 6),
    "sdxl": (sdxl, 15),
    "sd35-medium": (sd35_medium, 26),
    "flux-dev": (flux_dev, 42),
}
"""Name -> how it is made from a fraction of its layers, and GB that it takes whole: weights, activations and slack."""
