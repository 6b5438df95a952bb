"""LPIPS: how far apart two pictures look to a network, layer by layer.

Zhang et al. 2018, version 0.1: the published formula and layers in plain torch, filled with the published backbones and
linear heads (see ``weights``).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from photowords.errors import UserError
from photowords.metrics import features, weights
from photowords.pretrained import Kept, digest, fill, on

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and spread, for pictures in [-1, 1]."""
LEAST_SIDE = 32  # pixels: below, the last layers have no cell left


def distance(a: Sequence[Tensor], b: Sequence[Tensor], heads: Sequence[Tensor]) -> Tensor:
    """LPIPS of pairs from their layers' maps, (n, c_l, h_l, w_l) and n or 1, and the heads, (c_l,) >= 0; as (n,).

    sum_l mean_hw sum_c w_lc (a_lc - b_lc)^2, with every position's vector over channels at unit length. Lower is
    more alike, [0, inf), 0 for identical maps; symmetric.
    """
    total = torch.zeros(len(a[0]), device=a[0].device)
    for one, other, head in zip(a, b, heads, strict=True):
        difference = (_unit(one) - _unit(other)).square()
        total = total + (difference * head[:, None, None]).sum(1).mean((1, 2))
    return total


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)  # outside the root, as in the reference


class VGG16(nn.Module):
    """The convolutions of torchvision's VGG16, with its state-dict keys; maps after relu1_2 ... relu5_3."""

    taps = (3, 8, 15, 22, 29)
    channels = (64, 128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inner = 3
        for outer, count in zip(self.channels, (2, 2, 3, 3, 3), strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU()]
                inner = outer
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)


class AlexNet(nn.Module):
    """The convolutions of torchvision's AlexNet, with its state-dict keys; maps after each of its five ReLUs."""

    taps = (1, 4, 7, 9, 11)
    channels = (64, 192, 384, 256, 256)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip


NETS: dict[str, tuple[type[VGG16] | type[AlexNet], str]] = {
    "vgg": (VGG16, "vgg16-397923af.pth"),
    "alex": (AlexNet, "alexnet-owt-7be5be79.pth"),
}


class LPIPS(nn.Module):
    """``LPIPS(net="vgg")`` or "alex" with published weights: call it with pictures (n, 3, h, w) in [-1, 1] and n or 1.

    Pictures are compared on ``device`` at their own size, at least 32 pixels a side; dropout is off. Returns (n,) on
    the CPU, lower is more alike. Raises UserError when a weight file is missing or another one.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str, folder: str | None = None, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.device = device
        kind, name = NETS[net]
        backbone, heads = weights.find(name, folder), weights.find(f"lpips_{net}.pth", folder)
        self.net = kind()
        self.heads = _Heads(kind.channels)
        fill(self.net, backbone)
        fill(self.heads, heads)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        self.about = f"LPIPS v0.1 {net}, {backbone.name} {digest(backbone)}, {heads.name} {digest(heads)}"

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """The layers' maps of pictures (n, 3, h, w) in [-1, 1]."""
        if min(pictures.shape[-2:]) < LEAST_SIDE:
            raise UserError(f"LPIPS needs pictures of at least {LEAST_SIDE} pixels a side, not {pictures.shape[-1]}")
        x = (pictures.to(self.shift) - self.shift) / self.scale
        found = []
        for number, layer in enumerate(self.net.features):
            if number > self.net.taps[-1]:
                break
            x = layer(x)
            if number in self.net.taps:
                found.append(x)
        return found

    @torch.no_grad()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with on(self.device, self):
            return distance(self.maps(a), self.maps(b), self.heads.vectors()).cpu()


class _Heads(nn.Module):
    """The published linear heads, with their keys: lin0.model.1.weight, (1, c, 1, 1) ..."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.count = len(channels)
        for number, width in enumerate(channels):
            head = nn.Module()
            head.model = nn.Sequential(nn.Dropout(), nn.Conv2d(width, 1, 1, bias=False))
            self.add_module(f"lin{number}", head)

    def vectors(self) -> list[Tensor]:
        return [self.get_parameter(f"lin{number}.model.1.weight").flatten() for number in range(self.count)]


class PocketLPIPS(nn.Module):
    """LPIPS's formula on the pocket's own feature net, every channel weighing 1 / c. Compares with nothing published.

    Pictures (n, 3, h, w) in [-1, 1] and n or 1 are compared at the pocket's own size (larger ones are
    shrunk), on ``device``. Returns (n,) on the CPU, lower is more alike.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.net, self.about = features.load()
        self.device = device

    @torch.no_grad()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with on(self.device, self):
            one, other = (self.net.maps(features.resized(x, self.device)) for x in (a, b))
            return distance(one, other, [torch.full((x.shape[1],), 1 / x.shape[1]).to(x) for x in one]).cpu()


load = {net: Kept(functools.partial(LPIPS, net)) for net in NETS}
"""LPIPS by net: from a folder of weights, kept for the next call."""
