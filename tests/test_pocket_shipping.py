"""What is trained on, what is kept of it, and what takes a shipped part's place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from photowords import pocket
from recipes.pocket import autoencoder, bank, captions, data, diffusion, install, judge, regions, report, sharpen
from recipes.pocket.training import Plan
from recipes.pocket.world import Picture, Thing

HELD, COUNT = 8, 40
SPECS = [Picture((Thing("mug", 220.0, x=0.5, y=0.5),))] * COUNT


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data, "BUILD", tmp_path)
    monkeypatch.setattr(data, "HELD_OUT", HELD)
    return tmp_path


def test_no_part_is_trained_on_what_is_held_out(build: Path) -> None:
    pictures = np.full((COUNT, 128, 128, 3), 255, np.uint8)
    pictures[:HELD] = 0
    generator = torch.Generator().manual_seed(0)
    drawn = regions.Regions(pictures, SPECS, (0.7, 0.3, 0.0))  # type: ignore[arg-type]
    whole = drawn.batch(generator, 400).pictures
    assert {len(drawn.batch(generator, 1).pictures) for _ in range(9)} == {1}, "whole or cut"
    assert float(whole.float().mean((1, 2, 3)).min()) > 0.9
    crops = autoencoder.Crops(pictures, SPECS, whole=False)  # type: ignore[arg-type]
    assert float(crops.batch(generator, 200).float().min()) == 1.0
    assert len(autoencoder.Crops(pictures, SPECS, whole=True).batch(generator, 2)) > 0  # type: ignore[arg-type]


def test_latents_are_drawn_beside_their_own_captions(build: Path) -> None:
    number = torch.arange(COUNT)
    latents = number.view(-1, 1, 1, 1).expand(-1, 48, 8, 8).half()
    ids_of = (100 * torch.arange(captions.COUNT)[None, :, None] + number[:, None, None]).expand(-1, -1, 32)
    draw = diffusion.draws(latents, ids_of, SPECS[:-10] + [SPECS[0].moved(things=SPECS[0].things * 2)] * 10)
    z, epsilon, t, ids = draw(torch.Generator().manual_seed(1), 500)
    drawn = z[:, 0, 0, 0].long()
    assert torch.equal(ids[:, 0] % 100, drawn) and set((ids[:, 0] // 100).tolist()) == set(range(captions.COUNT))
    assert set(drawn.tolist()) == set(range(HELD, COUNT)) and torch.equal(z[:, 5, 3, 2].long(), drawn)
    assert epsilon.shape == z.shape and abs(float(epsilon.std()) - 1) < 0.01 and 0 <= int(t.min()) < int(t.max()) < 1000
    assert float((drawn >= COUNT - 10).float().mean()) == pytest.approx(diffusion.PAIRS, abs=0.07)


def test_latents_older_than_their_pictures_are_none(build: Path) -> None:
    shard, kept = build / "00.npy", build / "00.pt"
    shard.touch()
    assert not diffusion.is_newer(kept, shard)
    kept.touch()
    assert diffusion.is_newer(kept, shard)
    os.utime(kept, (1, 1))
    assert not diffusion.is_newer(kept, shard)


def test_an_autoencoder_that_is_not_at_its_end_is_not_taken_for_another(build: Path) -> None:
    (build / "autoencoder.ckpt").touch()
    with pytest.raises(SystemExit, match="not at its end"):
        autoencoder.trained()
    (build / "autoencoder.ckpt").unlink()
    shutil.copytree(pocket.PIPELINE / "vae", build / "other" / "pipeline" / "vae")
    (build / "other" / "pipeline" / "vae" / "note").touch()
    assert (autoencoder.trained(str(build / "other")) / "note").exists(), "the one of the pocket that is gone on from"


@torch.no_grad()
def test_sharpening_keeps_half_of_what_it_learnt_however_often_it_ends(build: Path) -> None:
    folder = autoencoder.trained()
    for _ in range(2):
        began = AutoencoderKL.from_pretrained(sharpen.unsharpened(folder))
        before = {key: value.detach().clone() for key, value in began.named_parameters()}
        (build / "sharpen.ckpt").touch()
        for part in (began.decoder, began.post_quant_conv):
            for value in part.parameters():
                value.add_(1.0)  # what was learnt
        sharpen.half_way_back(began, before)
        began.save_pretrained(folder)
    shipped = dict(AutoencoderKL.from_pretrained(pocket.PIPELINE / "vae").named_parameters())
    for key, value in AutoencoderKL.from_pretrained(folder).named_parameters():
        learnt = 0.5 if key.startswith(("decoder.", "post_quant_conv.")) else 0.0
        torch.testing.assert_close(value, shipped[key] + learnt)
    other = AutoencoderKL.from_pretrained(folder)
    other.encoder.conv_in.weight.add_(1.0)
    other.save_pretrained(folder)
    with pytest.raises(SystemExit, match="was trained on since"):
        sharpen.unsharpened(folder)


def test_only_what_ends_is_kept() -> None:
    assert not Plan(steps=10, batch=1, lr=0.1, decay_share=0.0).ends
    assert Plan(steps=10, batch=1, lr=0.1).ends and Plan(steps=10, batch=1, lr=0.1, decay_share=0.0, finish=5).ends


def test_an_install_that_fails_leaves_what_ships_as_it_is(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, file in install.SHIPPED.items():
        (build / name).mkdir()
        (build / name / file).write_text("new")
    shutil.copytree(pocket.PIPELINE / "vae", build / "pipeline" / "vae")
    monkeypatch.setattr(bank, "BANK", {})
    target = build / "target"
    (target / "pipeline").mkdir(parents=True)
    (target / "pipeline" / "model_index.json").write_text("old")
    with pytest.raises(FileNotFoundError, match="no pictures drawn yet"):
        install.install(target)
    assert [path.name for path in target.iterdir()] == ["pipeline"]
    assert (target / "pipeline" / "model_index.json").read_text() == "old"

    def known(_: Path) -> tuple[Tensor, float]:
        return torch.zeros(1), 0.5

    monkeypatch.setattr(install, "familiar", known)
    install.install(target)
    assert (target / "pipeline" / "model_index.json").read_text() == "new"
    assert (target / "pipeline" / "world.json").exists() and (target / "features" / "model.safetensors").exists()


def test_a_colour_is_right_where_no_other_word_is_nearer() -> None:
    assert report.coloured(28.0, 35.0) and report.coloured("black", "black")
    assert judge.near(28.0, 45.0) and not report.coloured(28.0, 45.0), "that is yellow"
    assert not report.coloured(220.0, 180.0) and not report.coloured("white", 220.0)
