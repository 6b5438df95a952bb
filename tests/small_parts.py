"""Small random parts of diffusion models: tokenizers, text encoders, autoencoder and UNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import (
    AutoencoderKL,
    UNet2DConditionModel,
)
from transformers import (
    BertTokenizer,
    CLIPTextConfig,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from photowords import pocket
from photowords.templates import PROPERTIES, templates

CONTEXT = 77
"""Tokens that the real ones read."""


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
    text = " ".join(template.format("") for learned in PROPERTIES for template in templates(learned))
    return [*dict.fromkeys(f"{text} mug blue checkered striped tea on beach".split())]
