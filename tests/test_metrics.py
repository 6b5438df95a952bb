"""Metrics mean what they say: by numbers, by random weights in the published formats, and by others' code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torchmetrics.functional.image import lpips as theirs
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from photowords import images, pocket, pretrained
from photowords.errors import UserError
from photowords.metrics import METRICS, dino, features, frechet, losses, perceptual, pixels, similarity, weights


def conv_state(model: torch.nn.Module, extra: str) -> dict[str, torch.Tensor]:
    """As a published file: the model's entries, and others that the metric has no use for."""
    return {**{key: value.half() for key, value in model.state_dict().items()}, extra: torch.zeros(3)}


@pytest.fixture(scope="session")
def weight_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Random weights under the published file names and keys."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.save(conv_state(perceptual.VGG16(), "classifier.0.bias"), folder / "vgg16-397923af.pth")
    save_file(conv_state(perceptual.AlexNet(), "classifier.1.bias"), folder / "alexnet-owt-7be5be79.safetensors")
    for net, (kind, _) in perceptual.NETS.items():
        heads = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(kind.channels)}
        torch.save(heads, folder / f"lpips_{net}.pth")
    stem = frechet.InceptionStem()
    for module in stem.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.1, 0.3)
    published = {k: v for k, v in conv_state(stem, "fc.bias").items() if not k.endswith("num_batches_tracked")}
    torch.save(published, folder / "inception_v3_google-0cc3c7bd.pth")
    return folder


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


@pytest.fixture(scope="session")
def views() -> Any:
    """Three views of the mug and one of the clock, (4, 3, 64, 64)."""
    paths = [*(pocket.view("mug", k) for k in range(3)), pocket.view("clock")]
    return torch.cat([images.to_tensor(images.load_photo(path), 64) for path in paths])


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
    softer = [images.to_tensor(photo.filter(ImageFilter.GaussianBlur(radius)), 64) for radius in (2, 6, 18)]
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


@pytest.mark.parametrize("name", ["pocket-lpips", "pocket-sifid"])
def test_the_pockets_nets_find_the_nearer_picture(scorers: Any, views: Any, name: Any) -> None:
    mug_elsewhere, clock = images.to_tensor(images.load_photo(pocket.view("mug", 4)), 64), views[3:]
    assert scorers[name](views[:1], mug_elsewhere).item() < 0.5 * scorers[name](views[:1], clock).item()


def test_the_registry_says_all_of_each_metric_and_keeps_published_names_free() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.direction in ("higher", "lower")
        assert metric.range and metric.compares and metric.protocol
        assert (metric.load is None) == (metric.measure == "run")
        assert metric.arrow == ("↑" if metric.direction == "higher" else "↓")
    for name in ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction", "pocket-clip-editability"):
        assert "pocket" in METRICS[name].protocol


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


# --- LPIPS ---


def test_the_distance_in_numbers() -> None:
    # One layer, one position: unit vectors (1, 0) and (0, 1) differ by (1, -1), whose squares weigh 0.3 and 0.5.
    a, b = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
    assert perceptual.distance([a], [b], [torch.tensor([0.3, 0.5])]).item() == pytest.approx(0.8)
    assert perceptual.distance([a, a], [b, a], [torch.tensor([0.3, 0.5])] * 2).item() == pytest.approx(0.8)


@pytest.mark.parametrize("net", ["vgg", "alex"])
def test_lpips_agrees_with_torchmetrics_pieces_on_one_random_backbone(weight_folder: Any, views: Any, net: Any) -> None:
    ours = perceptual.LPIPS(net, str(weight_folder))
    scaled = [theirs.ScalingLayer()(x) for x in (views[:2], views[2:])]

    def maps(x: Any) -> Any:
        found = []
        for number, layer in enumerate(ours.net.features):
            x = layer(x)
            found += [x] if number in ours.net.taps else []
        return found

    total = torch.zeros(2)
    for one, other, head in zip(*map(maps, scaled), ours.heads.vectors(), strict=True):
        difference = (theirs._normalize_tensor(one) - theirs._normalize_tensor(other)) ** 2
        linear = theirs.NetLinLayer(len(head), use_dropout=True).eval()
        linear.model[-1].weight.data = head.view(1, -1, 1, 1)
        total += theirs._spatial_average(linear(difference), keep_dim=False).flatten().detach()
    # torchmetrics has its 1e-8 under the root, the reference 1e-10 outside of it: alike to 1e-4 of the value.
    torch.testing.assert_close(ours(views[:2], views[2:]), total, rtol=1e-4, atol=1e-6)


def test_the_nets_have_torchvisions_keys_and_maps() -> None:
    vgg, alex = perceptual.VGG16(), perceptual.AlexNet()
    for net, places in ((vgg, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)), (alex, (0, 3, 6, 8, 10))):
        assert set(net.state_dict()) == {f"features.{k}.{part}" for k in places for part in ("weight", "bias")}
    for net in (vgg, alex):
        assert all(isinstance(net.features[tap], torch.nn.ReLU) for tap in net.taps)
    assert sum(p.numel() for p in vgg.parameters()) == 14_714_688 and sum(p.numel() for p in alex.parameters()) == (
        2_469_696
    )


def test_the_published_heads_are_of_the_shape_that_is_read(tmp_path: Path, weight_folder: Any) -> None:
    heads = perceptual.LPIPS("vgg", str(weight_folder)).heads
    packaged = f"{theirs.__file__.rsplit('/', 1)[0]}/lpips_models/vgg.pth"
    published = torch.load(packaged, map_location="cpu", weights_only=True)
    assert published.keys() == heads.state_dict().keys()
    assert all(value.shape == heads.state_dict()[key].shape for key, value in published.items())


# --- SIFID ---


def test_frechet_agrees_with_scipys_square_root() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 20)) @ rng.normal(size=(20, 20)), rng.normal(1, 2, (300, 20))
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert frechet.frechet(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected, rel=1e-8)


def test_frechet_in_numbers() -> None:
    a = torch.tensor([[0.0], [2.0]])  # mean 1, variance 2
    b = torch.tensor([[0.0], [6.0]])  # mean 3, variance 18: (2)^2 + 2 + 18 - 2 sqrt(36)
    assert frechet.frechet(a, b) == pytest.approx(12.0)
    assert frechet.frechet(a, a) == 0.0


def test_frechet_is_exact_where_covariances_are_singular() -> None:
    few = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)) * 100  # rank 4 of 64
    assert frechet.frechet(few, few.flip(0)) < 1e-6
    moved = few + 3
    assert frechet.frechet(few, moved) == pytest.approx(64 * 9, rel=1e-6) == frechet.frechet(moved, few)


def test_the_stem_stops_before_the_second_pooling_with_torchvisions_keys(weight_folder: Any) -> None:
    stem = frechet.SIFID(str(weight_folder)).stem
    assert stem(torch.zeros(1, 3, 256, 256)).shape == (1, 192, 60, 60)
    assert not stem.training and stem.Conv2d_1a_3x3.bn.eps == 0.001
    assert {key.split(".")[0] for key in stem.state_dict()} == {
        f"Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
    }
    with pytest.raises(UserError, match="at least 31 pixels"):
        frechet.SIFID(str(weight_folder))(torch.zeros(1, 3, 24, 24), torch.zeros(1, 3, 24, 24))


# --- weight files ---


def test_weights_are_looked_for_in_the_folder_given_then_the_variable_then_torchs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "lpips_vgg.pth"
    named, cache = tmp_path / "named", tmp_path / "hub" / "checkpoints"
    for folder in (named, cache):
        folder.mkdir(parents=True)
        (folder / name).touch()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    assert weights.find(name) == cache / name
    monkeypatch.setenv(weights.VARIABLE, str(named))
    assert weights.find(name) == named / name
    with pytest.raises(
        UserError, match=r"lpips_vgg\.pth are not in .*empty; download https.*v0\.1/vgg\.pth to .*`weights`"
    ):
        weights.find(name, str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"download https://download\.pytorch\.org/models/vgg16-397923af\.pth"):
        perceptual.LPIPS("vgg")


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("ran",))


@pytest.mark.parametrize("what", ["cut", "code", "other", "shape"])
def test_a_weight_file_that_is_not_what_is_wanted_is_one_sentence(
    tmp_path: Path, what: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.pth"
    entries = {
        f"lin{i}.model.1.weight": torch.zeros(1, 64 if what == "shape" else c, 1, 1) for i, c in enumerate((1, 2))
    }
    torch.save({"conv.weight": torch.zeros(3)} if what == "other" else entries, path)
    if what == "cut":
        path.write_bytes(path.read_bytes()[:100])
    if what == "code":
        path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(UserError, match=r"w\.pth does not hold the weights wanted"):
        pretrained.fill(perceptual._Heads((1, 2)), path)
    assert "ran" not in capsys.readouterr().out


# --- the pocket's feature net ---


def test_the_pockets_features_are_the_judges_trunk() -> None:
    from recipes.pocket import judge

    shipped, trained = load_file(pocket.FEATURES), load_file(judge.WEIGHTS)
    assert shipped.keys() == features.Trunk().state_dict().keys()
    assert all(torch.equal(value, trained[key]) for key, value in shipped.items())
    net, about = features.load()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    for ours, judges in zip(net.maps(x), judge.load().maps(x), strict=True):
        assert torch.equal(ours, judges)
    assert [tuple(m.shape[1:]) for m in net.maps(x)] == [(32, 32, 32), *[(64, 16, 16)] * 2, *[(128, 8, 8)] * 2]
    assert images.sha256(pocket.FEATURES)[:8] in about


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


# --- DINO ---


def save_dino(folder: Path, family: Any) -> Any:
    torch.manual_seed(0)
    common = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    if family == "dino":
        ViTModel(ViTConfig(**common, intermediate_size=32), add_pooling_layer=False).save_pretrained(folder)
    else:
        Dinov2Model(Dinov2Config(**{**common, "patch_size": 14})).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("family", "side"), [("dino", 32), ("dinov2", 224)])
def test_dino_gives_the_class_token_of_what_transformers_computes(
    tmp_path: Path, mug: Image.Image, family: Any, side: Any
) -> None:
    folder = save_dino(tmp_path / family, family)
    net = dino.Dino(family, folder)
    embeddings = net.images([mug, mug.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mug])
    assert embeddings.shape == (3, 16) and torch.allclose(embeddings[0], embeddings[2], atol=1e-5)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    pixels_ = net._pixels(mug)
    assert pixels_.shape == (3, side, side)
    kind = ViTModel if family == "dino" else Dinov2Model
    reference = kind.from_pretrained(folder).eval()(pixel_values=pixels_[None]).last_hidden_state[0, 0]
    assert torch.cosine_similarity(reference, embeddings[0], dim=0).item() == pytest.approx(1, abs=1e-5)
    assert "class token" in net.about and "width 16" in net.about


def test_dino_pixels_are_resized_to_256_cropped_to_224_and_normalised(tmp_path: Path) -> None:
    net = dino.Dino("dinov2", save_dino(tmp_path / "dinov2", "dinov2"))
    picture = Image.new("RGB", (512, 256), "white")
    picture.paste("black", (0, 0, 128, 256))  # the crop's left edge lies at 144 of 512
    assert net._pixels(picture)[0].tolist()[0] == pytest.approx([(1 - 0.485) / 0.229] * 224, abs=1e-4)


def test_a_dino_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a dinov2 model, but dino is a vit; give one as `dino`"):
        dino.Dino("dino", save_dino(tmp_path / "x", "dinov2"))
