"""A folder's weights in one file, named as the first Stable Diffusion did and A1111, ComfyUI and kohya still do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "time_emb_proj.": "emb_layers.1.",
    "conv_shortcut.": "skip_connection.",
}
NETWORK = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
AUTOENCODER = {
    "down_blocks.": "down.",
    "mid_block.resnets.0.": "mid.block_1.",
    "mid_block.resnets.1.": "mid.block_2.",
    "mid_block.attentions.0.": "mid.attn_1.",
    ".resnets.": ".block.",
    "samplers.0.": "sample.",
    "conv_shortcut.": "nin_shortcut.",
    "conv_norm_out.": "norm_out.",
    "group_norm.": "norm.",
    "to_q.": "q.",
    "to_k.": "k.",
    "to_v.": "v.",
    "to_out.0.": "proj_out.",
}


def one_file(folder: Path) -> dict[str, Tensor]:
    """All tensors of a Stable Diffusion folder whose network has one layer a block, attention in its lower block."""
    return {
        **_renamed(folder / "unet", "model.diffusion_model.", _network),
        **_renamed(folder / "vae", "first_stage_model.", _autoencoder),
        **_renamed(folder / "text_encoder", "cond_stage_model.transformer.text_model.", str),
    }


def _renamed(part: Path, prefix: str, name: Callable[[str], str]) -> dict[str, Tensor]:
    (weights,) = part.glob("*.safetensors")
    return {prefix + name(key): tensor for key, tensor in load_file(weights).items()}


def _network(key: str) -> str:
    key = _replaced(key, NETWORK)
    if found := re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", key):
        way, block, kind, layer, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        first = 2 * block + (1 if way == "down" else 0)
        where = {
            "resnets": f"{first + layer}.0.{rest}",
            "attentions": f"{first + layer}.1.{rest}",
            "downsamplers": f"{first + 1}.0.op.{rest.removeprefix('conv.')}",
            "upsamplers": f"{first + 1}.2.{rest}",
        }
        key = f"{'input' if way == 'down' else 'output'}_blocks.{where[kind]}"
    return _replaced(key, RESNET) if "transformer_blocks" not in key else key


def _autoencoder(key: str) -> str:
    key = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{3 - int(found[1])}", key)
    return _replaced(key, AUTOENCODER)


def _replaced(key: str, names: dict[str, str]) -> str:
    for new, old in names.items():
        key = key.replace(new, old)
    return key
