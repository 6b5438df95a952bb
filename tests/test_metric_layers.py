"""The networks of LPIPS and SIFID, layer by layer, as their papers' code has them, in torch's plain functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photowords.metrics import frechet, perceptual

Reference = Callable[[dict[str, Tensor], Tensor], list[Tensor]]
VGG = {0: "", 2: "map", 5: "pool", 7: "map", 10: "pool", 12: "", 14: "map", 17: "pool", 19: "", 21: "map"}
VGG |= {24: "pool", 26: "", 28: "map"}
"""Place of each convolution -> what is done: pooled before it, or its map kept after it."""


def vgg(weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    found = []
    for place, what in VGG.items():
        x = F.max_pool2d(x, 2, 2) if what == "pool" else x
        x = F.relu(F.conv2d(x, weights[f"features.{place}.weight"], weights[f"features.{place}.bias"], padding=1))
        found += [x] if what == "map" else []
    return found


def alex(weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    found = []
    for place, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
        x = F.max_pool2d(x, 3, 2) if place in (3, 6) else x
        x = F.conv2d(x, weights[f"features.{place}.weight"], weights[f"features.{place}.bias"], stride, padding)
        found.append(x := F.relu(x))
    return found


@pytest.mark.parametrize(("net", "reference"), [("vgg", vgg), ("alex", alex)])
def test_lpips_looks_at_the_maps_of_the_published_networks(
    net: str, reference: Reference, weight_folder: Path, views: Tensor
) -> None:
    ours = perceptual.LPIPS(net, str(weight_folder))
    shift, scale = ((torch.tensor(each) * 2).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pictures = views[:2]
    with torch.no_grad():
        expected = reference(ours.net.state_dict(), (pictures + 1 - shift) / scale)
        found = ours.maps(pictures)
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


def test_the_stem_is_inceptions(weight_folder: Path, views: Tensor) -> None:
    stem = frechet.SIFID(str(weight_folder)).stem
    weights, x = stem.state_dict(), views[:2]
    for name, stride, padding in (
        ("1a_3x3", 2, 0),
        ("2a_3x3", 1, 0),
        ("2b_3x3", 1, 1),
        ("3b_1x1", 1, 0),
        ("4a_3x3", 1, 0),
    ):
        x = F.max_pool2d(x, 3, 2) if name == "3b_1x1" else x
        x = F.conv2d(x, weights[f"Conv2d_{name}.conv.weight"], None, stride, padding)
        mean, spread, factor, shift = (
            weights[f"Conv2d_{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.relu(F.batch_norm(x, mean, spread, factor, shift, eps=0.001))
    with torch.no_grad():
        torch.testing.assert_close(stem(views[:2]), x, rtol=1e-4, atol=1e-5)
