"""PSNR and SSIM: pictures against the true picture, pixel by pixel and window by window."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

K1, K2, WINDOW, SIGMA = 0.01, 0.03, 11, 1.5


def psnr(a: Tensor, b: Tensor, data_range: float) -> Tensor:
    """Peak signal-to-noise ratio in dB of each pair of pictures, (n, c, h, w) both, as (n,) float64.

    10 log10(range^2 / mean squared error); higher is better, from about 0 upwards, infinite for identical pictures.
    Symmetric. ``data_range`` is white minus black: 2 for pictures in [-1, 1].
    """
    return 10 * torch.log10(data_range**2 / (a.double() - b.double()).square().mean((1, 2, 3)))


def ssim(a: Tensor, b: Tensor, data_range: float) -> Tensor:
    """Structural similarity of each pair of pictures, (n, c, h, w) both of at least 11 pixels a side, as (n,) float64.

    Wang et al. 2004: a Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, windows that lie whole
    in the picture, each colour channel alone and then their mean. Higher is better, in [-1, 1], 1 for identical
    pictures; symmetric. ``data_range`` is white minus black: 2 for pictures in [-1, 1].
    """
    a, b = a.double(), b.double()
    channels = a.shape[1]
    across = torch.arange(WINDOW, dtype=a.dtype, device=a.device) - WINDOW // 2
    gauss = torch.exp(-(across**2) / (2 * SIGMA**2))
    gauss = gauss / gauss.sum()
    window = torch.outer(gauss, gauss).expand(channels, 1, WINDOW, WINDOW)

    def local(x: Tensor) -> Tensor:
        return F.conv2d(x, window, groups=channels)

    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return (luminance * structure).mean((1, 2, 3))


class Pixelwise:
    """``psnr`` or ``ssim`` as a scorer: call it with pictures (n, 3, h, w) in [-1, 1] and as many, or one."""

    about = "compared in the model's size"

    def __init__(self, measure: Callable[[Tensor, Tensor, float], Tensor]) -> None:
        self._measure = measure

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """One number for each picture, (n,) float64."""
        return self._measure(a, b.expand_as(a), 2.0)
