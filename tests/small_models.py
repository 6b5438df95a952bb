"""Small random models in the very folder formats that diffusers saves and the hub holds, one for each family.

To add a family: a function that saves it, and its line in ``FAMILIES``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import (
    LDMBertConfig,
    LDMBertModel,
    LDMTextToImagePipeline,
)
from transformers import (
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from photowords import pocket
from photowords.templates import KINDS, templates

CONTEXT = 77
"""Tokens that the real ones read."""
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""That of Stable Diffusion 1 and 2, XL and LDM."""


def clip_tokenizer(context: int = CONTEXT, **options: Any) -> CLIPTokenizer:
    """The pocket's byte pairs."""
    return CLIPTokenizer.from_pretrained(pocket.PIPELINE / "tokenizer", model_max_length=context, **options)


def clip_config(tokenizer: CLIPTokenizer, width: int, layers: int = 2, **options: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **options,
    )


def autoencoder(channels: int = 4, **options: Any) -> AutoencoderKL:
    """Pictures of 64 px to latents of 8 x 8, as every family here does."""
    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        sample_size=64,
        **options,
    )


def unet(width: int, **options: Any) -> UNet2DConditionModel:
    """``width``: of the vectors that cross-attention reads."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=8,
        **options,
    )


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


def bert_tokenizer(folder: Path) -> BertTokenizer:
    """Word pieces: the templates' words and some English ones, and letters; of other alphabets it knows no letter.

    It lies in the folder as BERT's first ones do, as a plain vocab.txt.
    """
    folder.mkdir(parents=True)
    words = english()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["##pot", "##ed", "##qu", *(f"##{letter}" for letter in letters)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = dict.fromkeys([*special, *letters, *".,!?'()-", *words, *pieces])
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": 512}))
    tokenizer: BertTokenizer = BertTokenizer.from_pretrained(folder)
    return tokenizer


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


def t5_encoder(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer()),
            d_model=width,
            d_kv=16,
            d_ff=2 * width,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )


def t5_tokenizer(context: int = 256) -> T5Tokenizer:
    """The templates' words and some English ones with the space before them, and letters; a Unigram model takes the
    likeliest pieces. Of other alphabets it knows no letter."""
    words = english()
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'()-▁"
    likelihoods = (
        {f"▁{word}": -4.0 for word in words} | dict.fromkeys(("pot", "red"), -5.0) | dict.fromkeys(letters, -9.0)
    )
    special = dict.fromkeys(("<pad>", "</s>", "<unk>"), 0.0)
    return T5Tokenizer(vocab=[*(special | likelihoods).items()], extra_ids=0, model_max_length=context)


def english() -> list[str]:
    """The templates' words and some others, each once."""
    text = " ".join(template.format("") for kind in KINDS for template in templates(kind))
    return [*dict.fromkeys(f"{text} mug blue checkered striped tea on beach".split())]


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "StableDiffusion": stable_diffusion,
    "StableDiffusionXL": stable_diffusion_xl,
    "LDMTextToImage": ldm,
    "StableDiffusion3": stable_diffusion_3,
    "Flux": flux,
}
"""Family -> a function that saves a small random model of it in a folder and gives the folder back."""
