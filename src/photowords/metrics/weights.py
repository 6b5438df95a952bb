"""Where published weights of scorers lie. Nothing is fetched: what is missing is named, with its place."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from photowords import images
from photowords.errors import UserError, reason
from photowords.pretrained import portable_name

VARIABLE = "PHOTOWORDS_WEIGHTS"
HUB = "https://download.pytorch.org/models/"
HEADS = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/"
FILES = {
    "vgg16-397923af.pth": f"{HUB}vgg16-397923af.pth",
    "alexnet-owt-7be5be79.pth": f"{HUB}alexnet-owt-7be5be79.pth",
    "inception_v3_google-0cc3c7bd.pth": f"{HUB}inception_v3_google-0cc3c7bd.pth",
    "lpips_vgg.pth": f"{HEADS}vgg.pth",
    "lpips_alex.pth": f"{HEADS}alex.pth",
}
"""File name -> where it is published (the two heads are called vgg.pth and alex.pth there)."""


def find(name: str, folder: str | None = None) -> Path:
    """The file ``name`` (or the same as .safetensors) in the folder given; by default in the folder that
    PHOTOWORDS_WEIGHTS names, then in torch's own cache. Raises UserError when it is in none of them."""
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    named = os.environ.get(VARIABLE)
    places = [Path(folder)] if folder else [*([Path(named)] if named else []), cache]
    for place in places:
        for path in (place / name, (place / name).with_suffix(".safetensors")):
            if path.is_file():
                return path
    raise UserError(
        f"the weights {name} are not in {' or '.join(map(str, places))}; download {FILES[name]} to {places[0] / name}, "
        f"or name the folder that holds it with --weights or {VARIABLE}"
    )


def load(model: nn.Module, path: Path) -> None:
    """Fill a model with a file's weights, in float32; entries that it has no place for are left.

    Raises UserError for a file that is damaged, would run code, or does not hold what the model needs.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            entries: dict[str, Tensor] = load_file(path)
        else:
            entries = torch.load(path, map_location="cpu", weights_only=True)
        wanted = model.state_dict()
        # Files of before torch 0.4.1 do not count batches, and nothing here needs the count.
        missing = [key for key in wanted if key not in entries and not key.endswith("num_batches_tracked")]
        if missing:
            raise ValueError(f"it has no entry {missing[0]}")
        model.load_state_dict({key: entries[key].float() for key in wanted if key in entries}, strict=False)
    except Exception as error:  # a pickle that is refused, a cut file, other shapes: each its own kind
        raise UserError(f"{path} does not hold the weights wanted of it ({reason(error)}); copy it again") from error
    model.requires_grad_(False).eval()


@functools.lru_cache(maxsize=32)
def digest(path: Path) -> str:
    """The first 8 hexadecimal digits of a weight file's SHA-256 (torchvision's file names end in the same)."""
    return images.sha256(path)[:8]


def named(source: str, revision: str | None) -> str:
    """How a score's record names a transformers model: its name, and the hub's commit or the weights' digest."""
    file = Path(source) / "model.safetensors"
    at = revision or (digest(file) if file.is_file() else "")
    return f"{portable_name(source)} {at[:8]}".strip()
