"""Where a pipeline's parts are while they work, and with which kernels. The moving is diffusers' and accelerate's."""

from __future__ import annotations

from typing import Any

import torch

from photowords.backbones import kernels
from photowords.errors import UserError

OFFLOADS = ("auto", "none", "model", "sequential")
LARGE = 6e9
"""Bytes of weights from which on a model is not simply kept on a GPU."""
SHARE = 0.6
"""Of a GPU's memory that weights may fill; activations and the user's desktop have the rest."""


def place(pipe: Any, device: torch.device, offload: str) -> str:
    """Make a pipeline ready to work on a device; what was chosen of the following.

    ``offload`` says what of it may be there at once: "none", all of it stays; "model", a part (a text encoder, the
    network, the autoencoder) comes when it is called and leaves when the next one comes; "sequential", one layer at a
    time, which is slow. "auto" takes the first of these that the memory allows, for models of 6 GB and more on a GPU.
    Raises UserError for another word.
    """
    if offload not in OFFLOADS:
        raise UserError(f"`offload` is {offload!r}, but it must be one of {', '.join(OFFLOADS)}")
    kernels.choose(pipe, device)
    how = _automatic(_sizes(pipe), device) if offload == "auto" else offload
    move = {"none": pipe.to, "model": pipe.enable_model_cpu_offload, "sequential": pipe.enable_sequential_cpu_offload}
    move[how](device=device)
    if how == "model":
        _take_turns(pipe)
    return how


def _take_turns(pipe: Any) -> None:
    """Have every part leave before another comes. accelerate's hooks send away the one before it in the pipeline's
    order, but a text encoder comes behind the network as well: for its gradient, and at the next training step."""

    def leave(coming: torch.nn.Module, _: Any) -> None:
        for hook in pipe._all_hooks:  # diffusers makes new ones after each picture
            if hook.model is not coming:
                hook.offload()

    for hook in getattr(pipe, "_all_hooks", ()):
        hook.model.register_forward_pre_hook(leave)


def _sizes(pipe: Any) -> list[int]:
    """Bytes of each part's weights."""
    modules = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    return [sum(p.numel() * p.element_size() for p in module.parameters()) for module in modules]


def _automatic(sizes: list[int], device: torch.device) -> str:
    if device.type == "cpu" or sum(sizes) < LARGE:
        return "none"
    room = SHARE * _memory(device)
    if sum(sizes) <= room:
        return "none"
    return "model" if max(sizes) <= room else "sequential"


def _memory(device: torch.device) -> int:
    """Bytes that a GPU has."""
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return int(torch.cuda.get_device_properties(device).total_memory)
