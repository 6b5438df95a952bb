"""What the 128-pixel trainers see: shards of drawings, their latents and their captions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from photowords import pocket
from recipes.pocket import autoencoder, captions, data, diffusion, sprites
from recipes.pocket.world import Picture, Thing

pytestmark = pytest.mark.skipif(not sprites.FONT.exists(), reason=sprites.FONT_HELP)


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """One of the world's own and one of two objects alone, of eight pictures each."""
    monkeypatch.setattr(data, "BUILD", tmp_path)
    monkeypatch.setattr(data, "SHARD", 8)
    (tmp_path / "data").mkdir()
    for shard in ((3, False), (0, True)):
        data._draw_shard(shard)
    return data.drawn(pairs=True)


def test_more_pictures_of_two_objects_are_the_diffusion_models_alone(shards: list[Path]) -> None:
    assert [file.name for file in shards] == ["03.npy", "pairs-00.npy"]
    assert data.drawn() == shards[:1]
    pictures, specs = data.load(shards)
    assert len(pictures) == len(specs) == 16
    counts = [len(spec.things) for spec in specs]
    assert counts[8:] == [2] * 8 and 1 in counts[:8]
    assert np.array_equal(pictures[np.array([9])][0], data.pixels(specs[9]))


@torch.no_grad()
def test_latents_are_kept_by_shard_and_follow_the_pictures(shards: list[Path]) -> None:
    latents = diffusion.encode_all(pocket.PIPELINE / "vae", shards)
    assert latents.shape == (16, 48, 8, 8) and abs(latents.float().std() - 1) < 0.2
    kept = sorted((data.BUILD / "latents").rglob("*.pt"))
    assert [file.name for file in kept] == ["03.pt", "pairs-00.pt"]
    (data.BUILD / "data" / "04.npy").write_bytes(shards[0].read_bytes())  # another comes between them
    again = diffusion.encode_all(pocket.PIPELINE / "vae", data.drawn(pairs=True))
    assert torch.equal(again, torch.cat([latents[:8], latents[:8], latents[8:]]))


@torch.no_grad()
def test_a_channel_counts_as_much_as_it_moves_pixels(shards: list[Path], tmp_path: Path) -> None:
    vae = AutoencoderKL.from_pretrained(pocket.PIPELINE / "vae")
    vae.post_quant_conv.weight[:, 7] = 0.0  # which then moves none
    vae.save_pretrained(tmp_path / "vae")
    latents = diffusion.encode_all(tmp_path / "vae", shards[:1])[:2]
    weights = diffusion.how_visible(tmp_path / "vae", latents).flatten()
    assert weights.shape == (autoencoder.CHANNELS,) and float(weights.mean()) == pytest.approx(1.0)
    assert weights[7] == weights.min() and weights.max() > 5 * weights.min() > 0


def test_several_workers_may_ask_for_the_autoencoder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "BUILD", tmp_path)
    with ThreadPoolExecutor(8) as pool:
        folders = list(
            pool.map(lambda _: (autoencoder.trained(), len(list(autoencoder.trained().iterdir()))), range(8))
        )
    assert set(folders) == {(tmp_path / "pipeline" / "vae", 2)}
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline"]


def test_the_other_workers_take_the_captions_that_the_first_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [Picture((Thing("mug", 120.0),))] * 3
    alone, sent = captions.caption_all(specs), list[torch.Tensor]()
    assert alone.dtype == torch.int16 and alone.shape == (3, captions.COUNT, 32)
    monkeypatch.setattr(captions, "workers", lambda: (0, 2))
    monkeypatch.setattr(torch.distributed, "broadcast", lambda told, source: sent.append(told.clone()))
    assert torch.equal(captions.caption_all(specs), alone) and sent[0].dtype == torch.uint8
    monkeypatch.setattr(captions, "workers", lambda: (1, 2))
    monkeypatch.setattr(torch.distributed, "broadcast", lambda told, source: told.copy_(sent[0]))
    monkeypatch.setattr(data, "on_all_cores", lambda *_: pytest.fail("only the first writes"))
    assert torch.equal(captions.caption_all(specs), alone)


def test_what_is_learnt_last_is_drawn_more_often() -> None:
    plain, hard = Thing("mug", 200.0), Thing("mug", 200.0, "star", 20.0)
    specs = [Picture((plain,)), Picture((plain,)), Picture((hard,)), Picture((plain, plain)), Picture((plain, hard))]
    chances = diffusion.how_often(specs)
    one, two = (1 - diffusion.PAIRS) / 4, diffusion.PAIRS / 3
    assert torch.allclose(chances, torch.tensor([one, one, 2 * one, two, 2 * two]))
