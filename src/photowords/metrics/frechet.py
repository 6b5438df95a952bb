"""SIFID: how far apart the texture statistics of two single pictures are.

Shaham et al. 2019 (SinGAN): the Frechet distance between the Gaussians of two pictures' inner features, each
position of a feature map being one sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photowords.errors import UserError
from photowords.metrics import features, weights
from photowords.pretrained import Kept, digest, fill, on

INCEPTION = "inception_v3_google-0cc3c7bd.pth"
LEAST_SIDE = 31  # pixels: below, the stem's last convolution has no more than one position left


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance of the Gaussians fitted to two samples, (n, d) and (m, d), n and m at least 2.

    ||mu_a - mu_b||^2 + Tr(S_a + S_b - 2 (S_a S_b)^(1/2)), covariances over N - 1 as numpy.cov has them. Lower is
    more alike, [0, inf), 0 for identical samples (to about 1e-9 of the variance); symmetric; the samples' order
    does not matter. In float64, the last trace as the sum of the singular values of S_a^(1/2) S_b^(1/2): unlike a
    matrix square root of the product it stays real and exact where a covariance is singular.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    cross = torch.linalg.svdvals(_root(cov_a) @ _root(cov_b)).sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return max(0.0, float(means + cov_a.trace() + cov_b.trace() - 2 * cross))


def _root(covariance: Tensor) -> Tensor:
    values, axes = torch.linalg.eigh(covariance)
    root: Tensor = (axes * values.clamp(min=0).sqrt()) @ axes.T
    return root


def of_maps(a: Tensor, b: Tensor) -> float:
    """Frechet distance of two pictures' feature maps, (c, h, w) each: every position is a sample of c numbers."""
    return frechet(a.flatten(1).T, b.flatten(1).T)


def _pairs(a: Tensor, b: Tensor) -> Tensor:
    return torch.tensor([of_maps(x, y) for x, y in zip(*torch.broadcast_tensors(a, b), strict=True)]).double()


class _Convolution(nn.Module):
    """torchvision's BasicConv2d: without bias, then batch normalisation and ReLU."""

    def __init__(self, inner: int, outer: int, size: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outer, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class InceptionStem(nn.Module):
    """Inception v3 as far as Conv2d_4a_3x3, before its second pooling, with torchvision's state-dict keys.

    The reference's script once stopped before the first pooling (64 numbers a position): scores of then differ.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, h, w) in [-1, 1], RGB / 255 x 2 - 1, at their own size -> (n, 192, h', w'): 256 gives 60."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pictures)))
        x = self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2))
        result: Tensor = self.Conv2d_4a_3x3(x)
        return result


class SIFID:
    """Single-image FID with torchvision's Inception weights: call it with pictures (n, 3, h, w) in [-1, 1] and n or 1.

    Pictures are not resized; returns (n,) float64, lower is more alike. Raises UserError when the weight file is
    missing or another one, and for pictures under 31 pixels a side.
    """

    def __init__(self, folder: str | None = None, device: str = "cpu") -> None:
        path = weights.find(INCEPTION, folder)
        stem = InceptionStem()
        fill(stem, path)
        self.stem, self.device = stem, device
        self.about = f"{path.name} {digest(path)}, 192 features before the second pooling"

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        if min(a.shape[-2:]) < LEAST_SIDE:
            raise UserError(f"SIFID needs pictures of at least {LEAST_SIDE} pixels a side, not {a.shape[-1]}")
        with on(self.device, self.stem):
            maps = [self.stem(x.to(self.device, torch.float32)).cpu() for x in (a, b)]
        return _pairs(*maps)


class PocketSIFID:
    """SIFID's formula on the pocket's own feature net, first block (64 features at 32 x 32 positions).

    Pictures (n, 3, h, w) in [-1, 1] and n or 1 are compared at the pocket's own size; returns (n,) float64, lower is
    more alike. Compares with nothing published.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.net, self.about = features.load()
        self.device = device

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        with on(self.device, self.net):
            maps = [self.net.maps(features.resized(x, self.device))[0].cpu() for x in (a, b)]
        return _pairs(*maps)


load = Kept(SIFID)
"""SIFID from a folder of weights, kept for the next call."""
