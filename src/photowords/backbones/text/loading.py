"""A pipeline's text encoders from their folders: only the computation is in another precision than the files'."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from photowords.backbones.source import variant


def load_encoder(folder: Path, part: str, dtype: torch.dtype) -> tuple[Any, Tensor] | None:
    """A part of a pipeline's folder, computing in ``dtype``, and its word vectors as they are stored, (vocabulary,
    width). None for a part that the folder leaves empty."""
    library, kind = json.loads((folder / "model_index.json").read_text()).get(part) or ("", "")
    if not kind:
        return None
    # As diffusers does: a pipeline's own module may be named in the place of a library.
    holder = getattr(diffusers.pipelines, library, None) or importlib.import_module(library)
    made = getattr(holder, kind)
    config = made.config_class.from_pretrained(folder, subfolder=part)
    config.dtype = None  # SD 2.1's says fp16 of weights in fp32, and "auto" would believe it
    encoder = made.from_pretrained(folder, subfolder=part, config=config, dtype="auto", variant=variant(folder / part))
    table = encoder.get_input_embeddings().weight.detach().clone()
    return _computing_in(encoder, dtype), table


def name_as_published(weights: Path) -> None:
    """Give a CLIP text encoder's tensors the names that every published one has, and that other tools and older
    transformers look for: ``save_pretrained`` leaves out their "text_model." since transformers 5.6."""
    tensors = load_file(weights)
    if "embeddings.token_embedding.weight" in tensors:
        beside = weights.with_suffix(".new")  # the file itself is where the tensors lie
        save_file({f"text_model.{key}": tensor for key, tensor in tensors.items()}, beside, {"format": "pt"})
        beside.replace(weights)


def _computing_in(encoder: Any, dtype: torch.dtype) -> Any:
    """The encoder in a precision, but for what transformers itself leaves in fp32: T5 overflows in fp16."""
    left = getattr(encoder, "_keep_in_fp32_modules", None) or () if dtype == torch.float16 else ()
    kept = {name: p.data.float() for name, p in encoder.named_parameters() if set(left) & set(name.split("."))}
    encoder.to(dtype)
    for name, data in kept.items():
        encoder.get_parameter(name).data = data
    return encoder
