"""The networks of LPIPS, SIFID and DINO: random weights in the published formats, and others' code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from safetensors.torch import load_file
from torchmetrics.functional.image import lpips as theirs
from transformers import Dinov2Model, ViTModel

from photowords import images, pocket, pretrained
from photowords.errors import UserError
from photowords.metrics import dino, features, frechet, perceptual, weights
from tests.small_weights import save_dino


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
    assert frechet.frechet(a, a) == pytest.approx(0.0, abs=1e-12)


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
    x = torch.rand(2, 3, pocket.SIDE, pocket.SIDE) * 2 - 1
    for ours, judges in zip(net.maps(x), judge.load().maps(x), strict=True):
        assert torch.equal(ours, judges)
    assert [tuple(m.shape[1:]) for m in net.maps(x)] == [*[(64, 32, 32)] * 2, *[(128, 16, 16)] * 3]
    assert images.sha256(pocket.FEATURES)[:8] in about


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

    red, green, blue = net._pixels(Image.new("RGB", (256, 256), (255, 128, 0))).mean((1, 2)).tolist()  # ImageNet's
    assert (red, green) == pytest.approx(((1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224), abs=1e-3)
    assert blue == pytest.approx(-0.406 / 0.225, abs=1e-3)


def test_a_dino_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a dinov2 model, but dino is a vit; give one as `dino`"):
        dino.Dino("dino", save_dino(tmp_path / "x", "dinov2"))
