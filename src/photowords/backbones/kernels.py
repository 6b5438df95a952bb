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
    """Give a pipeline's network and text encoders the layout and the attention that are fast on a device, forward and
    backward.

    On NVIDIA's GPUs convolutions in half precision are faster channels last (a step of SD 1.5's shapes on an H100: 144
    ms instead of 157; on CPUs it makes no difference). In bf16 on the CPU, PyTorch's fused attention takes 2 to 5 times
    as long as plain matrix products do up to about a thousand tokens, nearly all of it in its gradient. Above, in fp32,
    and on GPUs the fused one stays.
    """
    network = getattr(pipe, "unet", None)
    if device.type == "cuda" and pipe.dtype != torch.float32 and network is not None:
        network.to(memory_format=torch.channels_last)
    if device.type != "cpu" or pipe.dtype != torch.bfloat16:
        return
    for part in pipe.components.values():
        if isinstance(part, PreTrainedModel) and getattr(part.config, "_attn_implementation", None) == "sdpa":
            part.set_attn_implementation("eager")
        elif isinstance(part, UNet2DConditionModel) and part.config.sample_size**2 <= FEW:
            part.set_attn_processor(AttnProcessor())
