"""Where published weights of scorers lie. Nothing is fetched: what is missing is named, with its place."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from photowords.errors import UserError

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
        f"or name the folder that holds it as `weights` or in {VARIABLE}"
    )
