"""A model in one file, as Automatic1111, ComfyUI and kohya keep theirs, made a folder as diffusers keeps them.

diffusers knows which tensor goes where. What the file does not hold, the tokenizer and the configurations, is taken
from the model that it was trained from.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from photowords import backbones
from photowords.backbones.text.loading import name_as_published
from photowords.errors import UserError, is_of_memory, reason
from photowords.files import atomic_folder, check_replaceable
from photowords.pretrained import quiet

TRAINED_FROM = {"v1": "sd15", "xl_base": "sdxl"}
"""diffusers' name for a file's kind -> the model that such files are trained from. Files of Stable Diffusion 2 do not
say which one they are, and most of SD 3's and FLUX's have no text encoders."""
NETWORK = "model.diffusion_model"
"""What the names of the network's tensors begin with, in a checkpoint of a whole model."""
TEXT = "cond_stage_model.transformer."
"""The same of Stable Diffusion 1's text encoder."""
SCALES = (".scale_weight", ".weight_scale", ".comfy_quant", "scaled_fp8")
"""How the names end that ComfyUI gives to what fp8 weights are to be multiplied by, or that say that there is some."""


def to_folder(file: Path, folder: Path, like: str | None = None) -> str:
    """Write the folder of a whole model in one file; say which model its configurations are from.

    The weights keep the network's precision in the file. ``like`` is the alias, folder or hub name of a model of the
    same architecture, of which no weights are fetched; None finds it by the tensors' shapes. A prediction of the
    velocity that the file states (tensors ``v_pred`` and ``ztsnr``, as for NoobAI) goes into the scheduler's
    configuration. Nothing is unpickled but plain tensors.

    Raises UserError for a file that cannot be read, is no whole model or is of another kind, where the configurations
    cannot be had, and for a folder that is there already.
    """
    from diffusers.utils import logging

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; choose another place")
    check_replaceable(folder)
    tensors = _read(file)
    with quiet():
        known, like = _configurations(file, tensors, like)
        family = backbones.family(known, like)
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        with atomic_folder(folder) as written:
            named = _named_as_published(file, tensors, written)
            try:
                pipe = family.pipeline.from_single_file(
                    str(named), config=str(known), dtype=_precision(tensors), local_files_only=True, **family.options
                )
            except Exception as error:  # missing tensors, other shapes, a network that diffusers does not know
                if is_of_memory(error):
                    raise
                raise UserError(f"{file} does not hold a whole model like {like}: {reason(error)}") from error
            stated: dict[str, Any] = {"prediction_type": "v_prediction"} if "v_pred" in tensors else {}
            stated |= {"rescale_betas_zero_snr": True} if "ztsnr" in tensors else {}
            pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **stated)
            pipe.save_pretrained(written)
            if named != file:
                named.unlink()
            for weights in written.glob("text_encoder*/model.safetensors"):
                name_as_published(weights)
            for part in known.glob("tokenizer*/*"):  # vocab.json and merges.txt, which older tools read
                if not (target := written / part.relative_to(known)).exists():
                    shutil.copyfile(part, target)
    return like


def _named_as_published(file: Path, tensors: Mapping[str, Tensor], folder: Path) -> Path:
    """The file, or, where its text encoder's tensors are named as in the oldest merges and in what some trainers save
    today, one in ``folder`` where they are named as diffusers looks for them."""
    if f"{TEXT}embeddings.position_embedding.weight" not in tensors:
        return file
    target = folder / "renamed.safetensors"
    renamed = {key.replace(TEXT, f"{TEXT}text_model.", 1): tensor.contiguous() for key, tensor in tensors.items()}
    save_file(renamed, target)
    return target


def _configurations(file: Path, tensors: Mapping[str, Tensor], like: str | None) -> tuple[Path, str]:
    """The folder of the model that a file is like, without weights, and that model's name."""
    name = like or _trained_from(file, tensors)
    try:
        return backbones.locate(name, weights=False).folder, name
    except UserError as error:
        if like:
            raise
        raise UserError(
            f"{file} is a model like {name}, whose configurations and tokenizer are not in the local cache and cannot "
            "be fetched; try again with a network, or give the folder of such a model to `like`"
        ) from error


def _read(file: Path) -> Mapping[str, Tensor]:
    from diffusers.loaders.single_file_utils import load_single_file_checkpoint

    if not file.is_file():
        raise UserError(f"there is no file {file}")
    try:
        tensors: Mapping[str, Tensor] = load_single_file_checkpoint(str(file))
    except Exception as error:  # a cut file, another format, a pickle with more than tensors
        raise UserError(
            f"{file} cannot be read as a model's weights; give a .safetensors file, or a .ckpt that holds tensors alone"
        ) from error
    if any(name.endswith(SCALES) for name in tensors):
        raise UserError(f"{file} holds fp8 weights with scales, which are not read here; give it in fp16 or bf16")
    if not any(name.startswith(NETWORK) for name in tensors):
        raise UserError(f"{file} is no whole model: it has no tensors whose names begin with {NETWORK}")
    return tensors


def _trained_from(file: Path, tensors: Mapping[str, Tensor]) -> str:
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    kind = infer_diffusers_model_type(tensors)
    if kind not in TRAINED_FROM:
        known = ", ".join(TRAINED_FROM.values())
        raise UserError(
            f"{file} is a model of the kind {kind!r}, and only those trained from {known} are known by their weights; "
            "give a model of the same architecture to `like`"
        )
    return TRAINED_FROM[kind]


def _precision(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The network's own, where models are computed in it; fp32 for others, such as fp8."""
    own = next(tensor.dtype for name, tensor in tensors.items() if name.startswith(NETWORK))
    return own if own in backbones.DTYPES.values() else torch.float32
