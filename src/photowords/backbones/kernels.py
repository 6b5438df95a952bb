"""Which of the libraries' kernels a frozen model computes with: those that are fast on its device."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import PreTrainedModel

FEW = 1024
"""Cells of the latents up to which plain attention's weights are cheap to keep for the backward pass."""


def choose(pipe: Any, device: torch.device) -> None:
    """Give a pipeline's network and text encoders the attention that is fast on a device, forward and backward.

    In bf16 on the CPU, PyTorch's fused attention takes 2 to 5 times as long as plain matrix products do up to about a
    thousand tokens, nearly all of it in its gradient. Above, in fp32, and on GPUs the fused one stays.
    """
    if device.type != "cpu" or pipe.dtype != torch.bfloat16:
        return
    for part in pipe.components.values():
        if isinstance(part, PreTrainedModel) and getattr(part.config, "_attn_implementation", None) == "sdpa":
            part.set_attn_implementation("eager")
        elif isinstance(part, UNet2DConditionModel) and part.config.sample_size**2 <= FEW:
            part.set_attn_processor(AttnProcessor())
