"""The pocket's own feature net: what LPIPS's and SIFID's formulas see of the pocket's pictures."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photowords import pocket
from photowords.pretrained import digest, fill

SIZES = ((32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 128, 1))
"""Of each block: channels before it, after it, and its stride."""


class Block(nn.Module):
    """A residual block; halves the picture's side when ``stride`` is 2."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, inner)
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1)
        self.skip = nn.Conv2d(inner, outer, 1) if inner != outer else nn.Identity()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))
        result: Tensor = y + self.skip(F.avg_pool2d(x, self.stride) if self.stride > 1 else x)
        return result


class Trunk(nn.Module):
    """A small residual network, by default of 0.9M parameters, trained with heads to read the pocket's drawings."""

    def __init__(self, sizes: Sequence[tuple[int, int, int]] = SIZES) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, sizes[0][0], 5, 2, 2)
        self.blocks = nn.Sequential(*(Block(*size) for size in sizes))

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """Pictures (n, 3, side, side) in [-1, 1] -> each block's output; by default 64 channels of a quarter of the
        side twice and 128 of an eighth thrice."""
        x, found = self.conv_in(pictures), []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found


@functools.lru_cache(maxsize=1)
def load() -> tuple[Trunk, str]:
    """The trained net, and how a score's record names it."""
    net = Trunk()
    fill(net, pocket.FEATURES)
    return net, f"the pocket's feature net {digest(pocket.FEATURES)}"


def resized(pictures: Tensor, device: torch.device | str) -> Tensor:
    """Square pictures (n, 3, h, w) in [-1, 1] at the pocket's own size, antialiased, float32 on a device."""
    pictures = pictures.to(device, torch.float32)
    if pictures.shape[-2:] == (pocket.SIDE, pocket.SIDE):
        return pictures
    return F.interpolate(pictures, (pocket.SIDE, pocket.SIDE), mode="bicubic", antialias=True)
