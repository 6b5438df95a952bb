"""What the autoencoder is trained to look right to: a small net that measures nothing.

It is the trunk of an older judge, trained to read drawings of 64 pixels. The judges and scorers of this
model are other nets, so that what they say of a picture is not what its decoder was trained on.
"""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from photowords.metrics.features import Trunk
from recipes.pocket.training import CHECKPOINTS, device, precision

WEIGHTS = CHECKPOINTS / "eyes.safetensors"
SIZES = ((32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))  # of its blocks


def load() -> Trunk:
    """The trained net, frozen, in ``precision()`` on the right device."""
    eyes = Trunk(SIZES)
    eyes.load_state_dict(load_file(WEIGHTS))
    return eyes.to(device(), precision()).requires_grad_(False)


def unlike(eyes: Trunk, y: Tensor, x: Tensor) -> Tensor:
    """How unlike two batches of pictures look: the nets' maps, each place of unit length, compared."""
    with torch.no_grad():
        wanted = eyes.maps(x)
    pairs = zip(eyes.maps(y), wanted, strict=True)
    off = [(F.normalize(a, dim=1) - F.normalize(b, dim=1)).float().square().sum(1).mean() for a, b in pairs]
    return torch.stack(off).sum()
