"""What each tool demands of an embedding's file, written as a rule from reading its own loader.

A rule takes a file to the vectors that the tool would put into a prompt, text encoder -> (tokens, width), and raises
``Refused`` where the tool fails or silently ignores the file. None of the tools' code is here. Sources, read on
2026-11-21:

- A1111: AUTOMATIC1111/stable-diffusion-webui, modules/safe.py at 05933840 (before 1.10; 1.10 also lets ``byteorder``
  and ``.data/serialization_id`` in), modules/textual_inversion/textual_inversion.py at 22ecb78b.
- Forge: lllyasviel/stable-diffusion-webui-forge at dfdcbab6, backend/text_processing/textual_inversion.py (its
  modules/safe.py, of A1111 1.10, is there but not switched on); the widths of backend/diffusion_engine/*.py.
- ComfyUI: Comfy-Org/ComfyUI at a125cd84, comfy/sd1_clip.py (load_embed, SDTokenizer), comfy/text_encoders/*.py.
- sd-scripts: kohya-ss/sd-scripts at 48d368fa, gen_img.py (from line 2088), train_textual_inversion.py and
  sdxl_train_textual_inversion.py (load_weights).
- InvokeAI: invoke-ai/InvokeAI at 8e71a8a5, invokeai/backend/textual_inversion.py,
  invokeai/backend/model_manager/configs/textual_inversion.py, invokeai/app/util/ti_utils.py.
- diffusers 0.42.1, loaders/textual_inversion.py.
- OneTrainer: Nerogar/OneTrainer at 23df3832, modules/modelLoader/mixin/EmbeddingLoaderMixin.py,
  modules/modelSetup/Base{StableDiffusion,StableDiffusionXL,StableDiffusion3,Flux}Setup.py.
- ai-toolkit: ostris/ai-toolkit at 27a03a91, toolkit/embedding.py.
- invoke-training: invoke-ai/invoke-training at 99c673d0, _shared/stable_diffusion/textual_inversion.py.
- the original code: rinongal/textual_inversion at 424192de, ldm/modules/embedding_manager.py.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Parameter, ParameterDict

from tests import card_reader

Tables = Mapping[str, Tensor]


class Refused(Exception):
    """The tool would refuse the file, or pass it over."""


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(what)


def entries_of(path: Path) -> dict[str, Any]:
    """A file by its extension alone, as all tools do."""
    if path.suffix == ".safetensors":
        return load_file(path)
    demand(path.suffix in (".pt", ".bin"), f"nobody looks at {path.suffix}")
    with torch.serialization.safe_globals([ParameterDict, Parameter]):
        return torch.load(path, map_location="cpu", weights_only=True)


class CheckedPickle(pickle.Unpickler):
    """The names that A1111's checker lets a pickle call; the values do not matter."""

    NAMES = {
        "collections": {"OrderedDict"},
        "torch._utils": {"_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_device_tensor_from_numpy"},
        "torch": {"FloatStorage", "HalfStorage", "IntStorage", "LongStorage", "DoubleStorage", "ByteStorage"},
        "torch.nn.modules.container": {"ParameterDict"},
        "__builtin__": {"set"},
    }

    def persistent_load(self, pid: Any) -> str:
        demand(pid[0] == "storage", "persistent objects are storages")
        return "storage"

    def find_class(self, module: str, name: str) -> Any:
        demand(name in self.NAMES.get(module, ()), f"{module} {name} is forbidden")

        class Stand(dict[Any, Any]):  # takes whatever the real one would be given
            def __init__(self, *_: object) -> None:
                super().__init__()

            def __setstate__(self, _: object) -> None: ...

        return Stand


def a1111_checker(path: Path) -> None:
    """modules/safe.py, before 1.10: the names in the archive, and what its pickle calls."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            demand(bool(re.fullmatch(r"[^/]+/(data/\d+|version|data\.pkl)", name)), f"bad file inside: {name}")
        (pickled,) = [name for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)]
        with archive.open(pickled) as file:
            CheckedPickle(file).load()


def a1111(path: Path) -> Tables:
    """A1111 and Forge: SD 1 and 2, one table; SDXL, both."""
    demand(not set("()[]") & set(path.stem), "a name with brackets cannot be typed")
    if path.suffix in (".png", ".webp"):
        return {"clip_l": card(path)}
    if path.suffix == ".pt":
        a1111_checker(path)
    entries = entries_of(path)
    if "string_to_param" in entries:
        table = only(getattr(entries["string_to_param"], "_parameters", None) or entries["string_to_param"])
    elif {"clip_l", "clip_g"} <= set(entries):
        width = entries["clip_l"].shape[-1] + entries["clip_g"].shape[-1]
        demand(width == 2048, f"skipped: its shape {width} is not the model's")
        demand(len(entries["clip_l"]) == len(entries["clip_g"]), "the tokens are counted by clip_g alone")
        return {"clip_l": entries["clip_l"], "clip_g": entries["clip_g"]}
    else:
        table = only(entries)
    demand(table.shape[-1] in (768, 1024), f"skipped: its shape {table.shape[-1]} is not the model's")
    return {"clip_l": table.float()}


def card(path: Path) -> Tensor:
    """modules/textual_inversion/image_embedding.py: the pixels say the same as the text, where there is one."""
    demand(not path.stem.upper().endswith(".PREVIEW"), "a preview is passed over")
    with Image.open(path) as picture:
        demand(picture.format in ("PNG", "WEBP"), "it reads PNG and WebP")
    entries = card_reader.entries(path)
    demand(entries["name"] == path.stem, "a card is called by the name inside it")
    return only(entries["string_to_param"])


def only(tables: Mapping[str, Tensor]) -> Tensor:
    demand(len(tables) == 1, "embedding file has multiple terms in it")
    (table,) = tables.values()
    demand(isinstance(table, Tensor), "not a tensor")
    return table if table.ndim == 2 else table[None]


def comfyui(path: Path) -> Tables:
    """A table for each text encoder whose key is there, else the file's first one; other widths are ignored."""
    typable = not re.search(r"[\s()\[<]", path.stem) and path.stem == path.stem.strip(",")
    demand(typable, "the name ends the prompt's word")
    entries = entries_of(path)
    if "string_to_param" in entries:
        return {"clip_l": next(iter(entries["string_to_param"].values()))}
    widths = {"clip_l": (768,), "clip_g": (1280,), "t5xxl": (4096,), "clip_h": (1024,)}
    found = {key: entries[key] for key in widths if key in entries}
    if not found:
        table = next(iter(entries.values()))
        demand(table.shape[-1] in (768, 1024), f"embedding ignored: its width is {table.shape[-1]}")
        return {"clip_l": table}
    for key, table in found.items():
        demand(table.shape[-1] in widths[key], f"embedding ignored: {key} of width {table.shape[-1]}")
    return found


def kohya(path: Path) -> Tables:
    """gen_img.py and --weights."""
    name = path.stem
    demand(not re.search(r"[\s()\[\]:]", name), "its prompts split there")
    # CLIP's tokenizer never joins letters with digits or marks (its pattern in openai/CLIP's simple_tokenizer.py).
    demand(bool(re.search(r"[^\W\d_]", name) and re.search(r"[\W\d_]", name)), "tokenizer has same word")
    entries = entries_of(path)
    entries = entries.get("string_to_param", entries)
    if "clip_g" in entries:
        demand(len(entries["clip_l"]) == len(entries["clip_g"]), "num_added_tokens differ")
        return {"clip_l": entries["clip_l"], "clip_g": entries["clip_g"]}
    table = next(iter(entries.values()))
    demand(isinstance(table, Tensor) and table.ndim == 2, "weight file does not contain a tensor (vectors, width)")
    demand(table.shape[1] in (768, 1024), "the model's table has another width")
    return {"clip_l": table}


def invokeai(path: Path) -> Tables:
    """The model manager's probe by width, then the loader."""
    demand(bool(re.fullmatch(r"<[a-zA-Z0-9., _-]+>", f"<{path.stem}>")), "no trigger of a prompt")
    entries = entries_of(path)
    if "string_to_token" in entries:
        table = next(iter(entries["string_to_param"].values()))
    elif "emb_params" in entries:
        table = entries["emb_params"]
    elif "clip_g" in entries:
        demand(entries["clip_g"].shape[-1] == 1280 and "clip_l" in entries, "unrecognized token dimension")
        return {"clip_l": entries["clip_l"], "clip_g": entries["clip_g"]}
    else:
        table = next(iter(entries.values()))
        demand(table.shape[0] in (768, 1024, 1280), f"unrecognized token dimension {table.shape[0]}")  # not the width
    demand(table.shape[-1] in (768, 1024), f"unrecognized token dimension {table.shape[-1]}")
    return {"clip_l": table}


def diffusers(path: Path) -> Tables:
    """load_textual_inversion: one table a file, whose key is the token; of SDXL and FLUX, one call a table."""
    entries = entries_of(path)
    if len(entries) == 1 or "string_to_param" in entries:
        token = next(iter(entries)) if len(entries) == 1 else entries["name"]
        demand(token.startswith("<") and token.endswith(">"), f"Token {token} already in tokenizer vocabulary")
        table = entries[token] if token in entries else entries["string_to_param"]["*"]
        return {"clip_l": table}
    demand(set(entries) in ({"clip_l", "clip_g"}, {"clip_l", "t5xxl"}), "no pipeline that loads embeddings has these")
    return entries


def onetrainer(path: Path) -> Tables:
    """The keys that its savers write; another file gives None and fails."""
    entries = entries_of(path)
    demand(not any(key.endswith("_out") for key in entries), "an output embedding")
    if "emp_params" in entries:
        return {"clip_l": entries["emp_params"]}
    demand("clip_l" in entries and ("clip_g" in entries or "t5" in entries), "'NoneType' object has no attribute 'to'")
    return {{"t5": "t5xxl"}.get(key, key): table for key, table in entries.items()}


def ai_toolkit(path: Path) -> Tables:
    """Both tables of SDXL, or the only one of SD 1 and 2."""
    entries = entries_of(path)
    if "clip_l" in entries:
        return {key: entries[key] for key in ("clip_l", "clip_g")}
    return {"clip_l": only(entries.get("string_to_param", entries))}


def invoke_training(path: Path) -> Tables:
    """initial_embedding_file: the key is the placeholder token, which the user gives."""
    return {"clip_l": only(entries_of(path))}


def original(path: Path) -> Tables:
    """EmbeddingManager.load: both dictionaries by the same placeholder, the token a tensor, the table a parameter."""
    entries = entries_of(path)
    tokens, tables = entries["string_to_token"], entries["string_to_param"]
    demand(isinstance(tables, ParameterDict), "cannot assign as child module (torch.nn.ParameterDict expected)")
    demand(list(tokens) == list(tables.keys()), "a placeholder without vectors")
    ((key, table),) = tables.items()
    demand(isinstance(tokens[key], Tensor) and tokens[key].ndim == 0, "'int' object has no attribute 'to'")
    token, width = int(tokens[key]), table.shape[-1]
    demand((token, width) in ((265, 768), (1008, 1280)), "the token of * in CLIP's vocabulary or BERT's")
    return {"clip_l" if width == 768 else "bert": table.detach()}


RULES: dict[str, Callable[[Path], Tables]] = {
    "diffusers": diffusers,
    "a1111": a1111,
    "kohya": kohya,
    "comfyui": comfyui,
    "invokeai": invokeai,
    "onetrainer": onetrainer,
    "original": original,
}
ALSO = {"ai_toolkit": (ai_toolkit, "kohya"), "invoke_training": (invoke_training, "diffusers")}
"""Tools without a form of their own, and the form that serves them."""
