"""What the autoencoder is trained to look right to: a small net that measures nothing.

It is the trunk of an older judge, trained to read drawings of 64 pixels. The judges and scorers of this
model are other nets, so that what they say of a picture is not what its decoder was trained on.
"""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from photowords.metrics.features import Block
from recipes.pocket.training import CHECKPOINTS, device, precision

WEIGHTS = CHECKPOINTS / "eyes.safetensors"


class Eyes(nn.Module):
    """Five residual blocks on pictures (n, 3, h, w) in [-1, 1]; each block's output is a map of what is where."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 32, 5, 2, 2)
        sizes = ((32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))
        self.blocks = nn.Sequential(*(Block(*size) for size in sizes))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x, found = self.conv_in(pictures), []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found


def load() -> Eyes:
    """The trained net, frozen, in ``precision()`` on the right device."""
    eyes = Eyes()
    eyes.load_state_dict(load_file(WEIGHTS))
    return eyes.to(device(), precision()).requires_grad_(False)


def unlike(eyes: Eyes, y: Tensor, x: Tensor) -> Tensor:
    """How unlike two batches of pictures look: the nets' maps, each place of unit length, compared."""
    with torch.no_grad():
        wanted = eyes(x)
    pairs = zip(eyes(y), wanted, strict=True)
    off = [(F.normalize(a, dim=1) - F.normalize(b, dim=1)).float().square().sum(1).mean() for a, b in pairs]
    return torch.stack(off).sum()
