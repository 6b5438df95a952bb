"""What the 128-pixel trainers see: shards of drawings, their latents and their captions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.pocket128 import captions, data, diffusion, sprites
from recipes.pocket128.world import Picture, Thing

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not sprites.FONT.exists(), reason=sprites.FONT_HELP)


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """One of the world's own and one of two objects alone, of eight pictures each."""
    monkeypatch.setattr(data, "BUILD", tmp_path)
    monkeypatch.setattr(data, "SHARD", 8)
    (tmp_path / "data").mkdir()
    for shard in ((3, False), (0, True)):
        data._draw_shard(shard)
    return data.drawn("*.npy")


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
    checkpoints = ROOT / "recipes/pocket128/checkpoints/pipeline/vae"
    latents = diffusion.encode_all(checkpoints, shards)
    assert latents.shape == (16, 48, 8, 8) and abs(latents.float().std() - 1) < 0.2
    kept = sorted((data.BUILD / "latents").rglob("*.pt"))
    assert [file.name for file in kept] == ["03.pt", "pairs-00.pt"]
    (data.BUILD / "data" / "04.npy").write_bytes(shards[0].read_bytes())  # another comes between them
    again = diffusion.encode_all(checkpoints, data.drawn("*.npy"))
    assert torch.equal(again, torch.cat([latents[:8], latents[:8], latents[8:]]))


TWO = """
import sys, torch
from recipes.pocket128 import captions
from recipes.pocket128.training import workers
from recipes.pocket128.world import Picture, Thing
torch.save(captions.caption_all([Picture((Thing("mug", 120.0),))] * 3), f"{sys.argv[1]}-{workers()[0]}.pt")
"""


def test_two_workers_read_the_same_captions_that_one_writes(tmp_path: Path) -> None:
    alone = captions.caption_all([Picture((Thing("mug", 120.0),))] * 3)
    assert alone.dtype == torch.int16 and alone.shape == (3, captions.COUNT, 32)
    (tmp_path / "two.py").write_text(TWO)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    told = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, tmp_path / "two.py", tmp_path / "ids"], check=True, env=told, capture_output=True)
    for rank in (0, 1):
        assert torch.equal(torch.load(tmp_path / f"ids-{rank}.pt", weights_only=True), alone)


def test_what_is_learnt_last_is_drawn_more_often() -> None:
    plain, hard = Thing("mug", 200.0), Thing("mug", 200.0, "star", 20.0)
    specs = [Picture((plain,)), Picture((plain,)), Picture((hard,)), Picture((plain, plain)), Picture((plain, hard))]
    chances = diffusion.how_often(specs)
    assert torch.allclose(chances, torch.tensor([0.1, 0.1, 0.2, 0.2, 0.4]))
