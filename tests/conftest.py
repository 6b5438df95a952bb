"""What many tests share: random Stable Diffusions in the real folder format, the bundled pocket model, its mug."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from photowords import backbones, images, pocket, workers
from photowords.backbones import Backbone
from photowords.learning.each import Task
from tests import discs, small_models, small_readers, small_weights
from tests.study.small_study import serially


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.stable_diffusion(tmp_path_factory.mktemp("tiny") / "sd", context=32)


@pytest.fixture(scope="session")
def tiny_v_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.stable_diffusion(
        tmp_path_factory.mktemp("tiny_v") / "sd2", "v_prediction", width=48, context=32
    )


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Backbone:
    return backbones.load(str(tiny_folder), "cpu", "fp32")


@pytest.fixture(scope="session")
def tiny_v(tiny_v_folder: Path) -> Backbone:
    return backbones.load(str(tiny_v_folder), "cpu", "fp32")


@pytest.fixture(scope="session")
def pocket_model() -> Backbone:
    return backbones.load("pocket", "cpu", "fp32")


@pytest.fixture(scope="session")
def mug() -> Image.Image:
    return Image.open(pocket.view("mug")).convert("RGB")


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP."""
    folder = tmp_path_factory.mktemp("tiny_clip")
    torch.manual_seed(0)
    small_readers.save_clip(folder)
    return folder


@pytest.fixture(scope="session")
def weight_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the published metrics."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    small_weights.save_published(folder)
    return folder


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A short run of the real command in a process of its own, and its JSON."""
    out = tmp_path_factory.mktemp("runs") / "mug"
    words = [pocket.view("mug"), "--out", out, "--name", "mug", "--json", "--steps", 20, "--held-out", 24]
    command = [sys.executable, "-m", "photowords", "invert", *words, "--evaluate-every", 10, "--samples", 1]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return out, result


@pytest.fixture(scope="session")
def two_discs() -> Image.Image:
    """A red disc at (45, 60) and a blue one at (115, 60), both of radius 24, before sky and sand."""
    return discs.two()


@pytest.fixture(scope="session")
def views() -> Any:
    """Three views of the mug and one of the clock, (4, 3, side, side)."""
    paths = [*(pocket.view("mug", k) for k in range(3)), pocket.view("clock")]
    return torch.cat([images.to_tensor(images.load_photo(path), pocket.SIDE) for path in paths])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is for other processes is done in this one."""
    monkeypatch.setattr(workers, "on_processes", serially)


@pytest.fixture
def tasks(tmp_path: Path, mug: Image.Image) -> list[Task]:
    found = []
    for number in range(3):
        images.save_png(mug.rotate(90 * number), tmp_path / f"{number}.png")
        found.append(Task(tmp_path / f"{number}.png", tmp_path / "runs" / str(number)))
    return found
