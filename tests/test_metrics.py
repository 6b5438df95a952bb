"""Metrics mean what they say: by numbers and by others' code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageFilter
from torch.nn.functional import interpolate, normalize
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from photowords import images, pocket
from photowords.metrics import METRICS, features, frechet, losses, perceptual, pixels, similarity


@pytest.fixture(scope="session")
def scorers(weight_folder: Any) -> Any:
    """Name -> function of two batches of pictures."""
    return {
        "lpips-vgg": perceptual.LPIPS("vgg", str(weight_folder)),
        "lpips-alex": perceptual.LPIPS("alex", str(weight_folder)),
        "sifid": frechet.SIFID(str(weight_folder)),
        "pocket-lpips": perceptual.PocketLPIPS(),
        "pocket-sifid": frechet.PocketSIFID(),
        "psnr": lambda a, b: pixels.psnr(a, b, 2.0),
        "ssim": lambda a, b: pixels.ssim(a, b, 2.0),
    }


NAMES = ("lpips-vgg", "lpips-alex", "sifid", "pocket-lpips", "pocket-sifid", "psnr", "ssim")
BEST = {"psnr": float("inf"), "ssim": 1.0}  # the others': 0


# --- meaning ---


@pytest.mark.parametrize("name", NAMES)
def test_identical_pictures_score_best_and_noise_and_blur_move_it_the_declared_way(
    scorers: Any, views: Any, name: Any
) -> None:
    score, sign = scorers[name], 1 if METRICS[name].direction == "higher" else -1
    assert score(views, views).tolist() == pytest.approx([BEST.get(name, 0.0)] * 4, abs=1e-6)
    noise = torch.randn(views.shape, generator=torch.Generator().manual_seed(0))
    noisier = [sign * score(views, views + level * noise).mean().item() for level in (0.02, 0.1, 0.5)]
    assert noisier == sorted(noisier, reverse=True) and noisier[0] > noisier[-1]
    photo = images.load_photo(pocket.view("mug"))
    softer = [images.to_tensor(photo.filter(ImageFilter.GaussianBlur(radius)), pocket.SIDE) for radius in (2, 6, 18)]
    blurred = [sign * score(views[:1], picture).item() for picture in softer]
    assert blurred == sorted(blurred, reverse=True) and blurred[0] > blurred[-1]


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_independent_of_their_batch_and_order_and_symmetric(scorers: Any, views: Any, name: Any) -> None:
    score, other = scorers[name], views.roll(1, 0)
    together = score(views, other)
    assert together.shape == (4,)
    alone = torch.cat([score(views[k : k + 1], other[k : k + 1]) for k in range(4)])
    order = torch.tensor([2, 0, 3, 1])
    for again in (alone, score(views[order], other[order])[order.argsort()], score(other, views)):
        torch.testing.assert_close(again, together, rtol=1e-4, atol=1e-6)
    one_to_all = score(views[1:], views[:1])
    torch.testing.assert_close(one_to_all, score(views[1:], views[:1].expand(3, -1, -1, -1)), rtol=1e-4, atol=1e-6)


def test_of_all_concepts_the_same_one_in_another_scene_is_nearest_by_the_pockets_lpips(scorers: Any) -> None:
    """At the same place, since it compares place by place."""
    names = pocket.concepts()
    photos, elsewhere = (
        torch.cat([images.to_tensor(images.load_photo(pocket.view(name, k)), pocket.SIDE) for name in names])
        for k in (0, 3)
    )
    for number, name in enumerate(names):
        shown = torch.cat([elsewhere[[number]], photos[torch.arange(len(names)) != number]])
        far = scorers["pocket-lpips"](photos[[number]].expand_as(shown), shown)
        assert far.argmin() == 0, name


def test_the_pockets_lpips_is_its_formula_at_the_pockets_size(scorers: Any, views: Any) -> None:
    (net, _), other = features.load(), views.roll(1, 0)
    maps = zip(net.maps(views), net.maps(other), strict=True)
    apart = sum((normalize(x, dim=1) - normalize(y, dim=1)).square().mean((1, 2, 3)) for x, y in maps)
    torch.testing.assert_close(scorers["pocket-lpips"](views, other), apart, rtol=1e-4, atol=1e-6)
    large = [interpolate(x, scale_factor=2, mode="bicubic") for x in (views, other)]
    shrunk = [interpolate(x, views.shape[-2:], mode="bicubic", antialias=True) for x in large]
    torch.testing.assert_close(scorers["pocket-lpips"](*large), scorers["pocket-lpips"](*shrunk))


def test_the_pockets_sifid_finds_the_nearer_picture(scorers: Any, views: Any) -> None:
    score, elsewhere = scorers["pocket-sifid"], images.load_photo(pocket.view("mug", 4))
    mug, clock = images.to_tensor(elsewhere, pocket.SIDE), views[3:]
    assert score(views[:1], mug).item() < 0.5 * score(views[:1], clock).item()


def test_the_registry_says_all_of_each_metric_and_keeps_published_names_free() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.direction in ("higher", "lower")
        assert metric.range and metric.compares and metric.protocol
        assert (metric.load is None) == (metric.measure == "run")
        assert metric.arrow == ("↑" if metric.direction == "higher" else "↓")
    for name in ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction", "pocket-clip-editability"):
        assert "pocket" in METRICS[name].protocol
    lower = {"training-loss", "held-out-loss", "lpips-vgg", "lpips-alex", "sifid", "pocket-lpips", "pocket-sifid"}
    assert {name for name, metric in METRICS.items() if metric.direction == "lower"} == lower
    losses_of_runs = {name: metric.direction for name, metric in METRICS.items() if metric.measure == "run"}
    assert losses_of_runs == {"training-loss": "lower", "held-out-loss": "lower", "held-out-gain": "higher"}


# --- losses ---


def test_the_paired_difference_and_its_standard_error() -> None:
    start, learned = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.5, 1.0, 2.5, 3.0])
    mean, error = losses.paired_difference(learned, start)
    assert mean == pytest.approx(-0.75)
    assert error == pytest.approx(np.std([-0.5, -1, -0.5, -1], ddof=1) / 2)
    assert losses.paired_difference(start, start) == (0.0, 0.0)
    assert losses.paired_difference(start[:1], learned[:1]) == (0.5, None)
    with pytest.raises(ValueError, match="other tuples"):
        losses.paired_difference(start, start[:2])


def test_thirds_of_the_timesteps() -> None:
    values = torch.tensor([1.0, 3.0, 10.0, 20.0, 100.0, 300.0])  # the least noise first
    assert losses.by_thirds(values) == (2.0, 15.0, 200.0)
    assert losses.by_thirds(values[:2]) == (1.0, None, 3.0)


# --- pixels: torchmetrics agrees to 1e-5 ---


def test_psnr_and_ssim_agree_with_torchmetrics(views: Any) -> None:
    a, b = views, (views + 0.3 * torch.randn(views.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    expected = [peak_signal_noise_ratio(x[None], y[None], data_range=2.0).item() for x, y in zip(a, b, strict=True)]
    assert pixels.psnr(a, b, 2.0).tolist() == pytest.approx(expected, abs=1e-4)
    # torchmetrics averages over mirrored borders as well; the paper, and we, over the windows inside.
    _, everywhere = structural_similarity_index_measure(a, b, data_range=2.0, reduction="none", return_full_image=True)
    inside = everywhere[..., 5:-5, 5:-5].mean((1, 2, 3))
    assert pixels.ssim(a, b, 2.0).tolist() == pytest.approx(inside.tolist(), abs=1e-5)


def test_psnr_in_numbers() -> None:
    black, grey = -torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    assert pixels.psnr(black, grey, 2.0).item() == pytest.approx(10 * np.log10(4))


@pytest.mark.parametrize(("name", "value"), [("psnr", 6.0206), ("ssim", 3.9984e-4)])
def test_what_is_scored_lies_between_minus_one_and_one(name: str, value: float) -> None:
    """SSIM of flat pictures is its luminance alone: (0.01 * 2)^2 beside 1 + (0.01 * 2)^2."""
    black, grey = -torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    load = METRICS[name].load
    assert load and load(None, torch.device("cpu"))(black, grey).item() == pytest.approx(value, rel=1e-4)


# --- LPIPS ---


def test_the_distance_in_numbers() -> None:
    # One layer, one position: unit vectors (1, 0) and (0, 1) differ by (1, -1), whose squares weigh 0.3 and 0.5.
    a, b = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
    assert perceptual.distance([a], [b], [torch.tensor([0.3, 0.5])]).item() == pytest.approx(0.8)
    assert perceptual.distance([a, a], [b, a], [torch.tensor([0.3, 0.5])] * 2).item() == pytest.approx(0.8)


# --- similarities ---


def unit(*rows: Any) -> Any:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)


def test_all_pairs_are_the_plain_double_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures, sources = (unit(*torch.randn(n, 8, generator=generator).tolist()) for n in (5, 3))
    plain = np.mean([[float(x @ y) for y in sources] for x in pictures])
    assert similarity.to_images(pictures, sources).mean().item() == pytest.approx(plain, abs=1e-6)
    back = similarity.to_images(sources.flip(0), pictures).mean().item()
    assert back == pytest.approx(plain, abs=1e-6)
    assert similarity.to_images(sources[:1], sources[:1]).item() == pytest.approx(1)
    assert similarity.to_text(unit([1, 0], [1, 1]), unit([1, 0])).tolist() == pytest.approx([1, 0.5**0.5])


@pytest.mark.parametrize(
    ("prompt", "said", "text"),
    [
        ("a photo of a {mug} on the beach", "", "a photo of a on the beach"),
        ("a photo of a {} on the beach", "dog", "a photo of a dog on the beach"),
        ("a {mug:red=blue} and a <cat_1>", "", "a and a"),
        ("* in the style of  *", "", "in the style of"),
    ],
)
def test_placeholders_are_stripped_and_spaces_cleaned(prompt: Any, said: str, text: str) -> None:
    assert similarity.without_placeholders(prompt, said) == text


def test_a_word_swap_needs_the_word_to_show_and_the_rest_to_stay() -> None:
    new, old = unit([1, 0, 0])[0], unit([0, 1, 0])[0]
    unswapped = unit([0, 1, 3]).expand(4, -1)
    alone = unit([1, 0, 0]).expand(4, -1)
    swapped = unit([1, 0.2, 3], [0.2, 1, 3], [1, 0, 0.1], [0, 1, 3])
    # Shows and stays; shows too little; lost the rest; nothing changed.
    assert similarity.word_swap(swapped, unswapped, alone, new, old).tolist() == [True, False, False, False]
