"""Small random models in the very folder formats that diffusers saves and the hub holds, one for each family.

To add a family: a function that saves it, and its line in ``FAMILIES``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import (
    LDMBertConfig,
    LDMBertModel,
    LDMTextToImagePipeline,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.initializers import start
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.small_parts import (
    CONTEXT,
    autoencoder,
    bert_tokenizer,
    clip_config,
    clip_tokenizer,
    t5_encoder,
    t5_tokenizer,
    unet,
)

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""That of Stable Diffusion 1 and 2, XL and LDM."""


def stable_diffusion(folder: Path, prediction_type: str = "epsilon", width: int = 32, context: int = CONTEXT) -> Path:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(context)
    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, steps_offset=1, prediction_type=prediction_type)
    encoder = CLIPTextModel(clip_config(tokenizer, width))
    StableDiffusionPipeline(
        autoencoder(), encoder, tokenizer, unet(width), scheduler, None, None, requires_safety_checker=False
    ).save_pretrained(folder)
    return folder


def stable_diffusion_xl(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer, tokenizer_2 = clip_tokenizer(), clip_tokenizer(pad_token="!")
    encoder = CLIPTextModel(clip_config(tokenizer, 32, layers=3))
    encoder_2 = CLIPTextModelWithProjection(clip_config(tokenizer, 48, layers=3, projection_dim=40))
    network = unet(
        32 + 48,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=40 + 6 * 8,
        transformer_layers_per_block=2,
        use_linear_projection=True,
    )
    scheduler = EulerDiscreteScheduler(**SCHEDULE, steps_offset=1, timestep_spacing="leading")
    vae = autoencoder(scaling_factor=0.13025, force_upcast=True)
    StableDiffusionXLPipeline(
        vae, encoder, encoder_2, tokenizer, tokenizer_2, network, scheduler, force_zeros_for_empty_prompt=True
    ).save_pretrained(folder)
    return folder


def ldm(folder: Path) -> Path:
    """As CompVis/ldm-text2im-large-256 lies on the hub: pickled weights, a plain vocab.txt, ``bert`` and ``vqvae``."""
    torch.manual_seed(0)
    tokenizer = bert_tokenizer(folder / "tokenizer")
    bert = LDMBertModel(
        LDMBertConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=2,
            encoder_ffn_dim=64,
            encoder_attention_heads=2,
            head_dim=8,
        )
    )
    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False)
    pipe = LDMTextToImagePipeline(autoencoder(), bert, tokenizer, unet(32), scheduler)
    pipe.save_pretrained(folder, safe_serialization=False)
    for part, model in {"bert": bert, "unet": pipe.unet, "vqvae": pipe.vqvae}.items():
        for written in [*(folder / part).glob("*.safetensors"), *(folder / part).glob("*.bin")]:
            written.unlink()  # transformers no longer writes the form that the hub holds
        stem = "pytorch_model" if part == "bert" else "diffusion_pytorch_model"
        weights = model.state_dict()
        if part == "vqvae":  # attention's names of that time
            before = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
            for now, then in before.items():
                weights = {
                    key.replace(f"attentions.0.{now}.", f"attentions.0.{then}."): weights[key] for key in weights
                }
        torch.save(weights, folder / part / f"{stem}.bin")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    return folder


def stable_diffusion_3(folder: Path, with_t5: bool = True) -> Path:
    torch.manual_seed(0)
    tokenizer, tokenizer_2 = clip_tokenizer(), clip_tokenizer(pad_token="!")
    encoder = CLIPTextModelWithProjection(clip_config(tokenizer, 24, layers=3, projection_dim=24))
    encoder_2 = CLIPTextModelWithProjection(clip_config(tokenizer, 32, layers=3, projection_dim=40))
    network = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=24 + 40,
        pos_embed_max_size=12,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    StableDiffusion3Pipeline(
        network,
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        autoencoder(16, scaling_factor=1.5305, shift_factor=0.0609),
        encoder,
        tokenizer,
        encoder_2,
        tokenizer_2,
        t5_encoder(64) if with_t5 else None,
        t5_tokenizer() if with_t5 else None,
    ).save_pretrained(folder)
    return folder


def flux(folder: Path, schnell: bool = False) -> Path:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    network = FluxTransformer2DModel(
        in_channels=4 * 16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=64,
        pooled_projection_dim=32,
        guidance_embeds=not schnell,
        axes_dims_rope=(4, 6, 6),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0 if schnell else 3.0, use_dynamic_shifting=not schnell)
    vae = autoencoder(16, scaling_factor=0.3611, shift_factor=0.1159)
    encoder = CLIPTextModel(clip_config(tokenizer, 32))
    FluxPipeline(scheduler, vae, encoder, tokenizer, t5_encoder(64), t5_tokenizer(512), network).save_pretrained(folder)
    return folder


def flux_schnell(folder: Path) -> Path:
    return flux(folder, schnell=True)


UNETS = ("StableDiffusion", "StableDiffusionXL", "LDMTextToImage")
"""Those of FAMILIES that have one."""
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "StableDiffusion": stable_diffusion,
    "StableDiffusionXL": stable_diffusion_xl,
    "LDMTextToImage": ldm,
    "StableDiffusion3": stable_diffusion_3,
    "Flux": flux,
}
"""Family -> a function that saves a small random model of it in a folder and gives the folder back."""
FLOWS: dict[str, Callable[[Path], Path]] = {
    "sd3": stable_diffusion_3,
    "sd3-without-t5": functools.partial(stable_diffusion_3, with_t5=False),
    "flux-dev": flux,
    "flux-schnell": flux_schnell,
}
"""The same for the variants of the families that learn a flow."""
TEAPOT = "bon appetit teapot"
HARD = f"{TEAPOT} chequered 🫖 чайник"
"""Words that CLIP and T5 split differently."""
FEW = InvertSettings(steps=4, held_out=8, evaluate_every=2)


def words_concept(backbone: Backbone, text: str = "blue checkered mug", name: str = "mug") -> Concept:
    """The start from these words."""
    return start(Words(words=text), [], backbone, name)


def own_pipeline(folder: Path) -> Any:
    """diffusers' own, loaded apart from the backbone."""
    index = json.loads((folder / "model_index.json").read_text())
    absent = {part: None for part, value in index.items() if value == [None, None]}
    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, **absent)
    pipe.set_progress_bar_config(disable=True)
    return pipe
