"""Small models for the tests: random Stable Diffusions in the real folder format, and the bundled pocket model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from photowords import backbones, pocket
from photowords.backbones import Backbone


def save_tiny_stable_diffusion(folder: Path, prediction_type: str = "epsilon", width: int = 32) -> Path:
    """A random SD-shaped pipeline (64 px, 4 latent channels) in an ordinary diffusers folder."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(pocket.PIPELINE / "tokenizer")
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=32,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    unet = UNet2DConditionModel(
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
    )
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        sample_size=64,
    )
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, prediction_type=prediction_type)
    StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_stable_diffusion(tmp_path_factory.mktemp("tiny") / "sd")


@pytest.fixture(scope="session")
def tiny_v_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_stable_diffusion(tmp_path_factory.mktemp("tiny_v") / "sd2", "v_prediction", width=48)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Backbone:
    return backbones.load(str(tiny_folder), "cpu", "fp32")


@pytest.fixture(scope="session")
def tiny_v(tiny_v_folder: Path) -> Backbone:
    return backbones.load(str(tiny_v_folder), "cpu", "fp32")


@pytest.fixture(scope="session")
def pocket_model() -> Backbone:
    return backbones.load("pocket", "cpu", "fp32")


@pytest.fixture(scope="session")
def mug() -> Image.Image:
    return Image.open(pocket.view("mug")).convert("RGB")
