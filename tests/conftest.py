"""Small models for the tests: random Stable Diffusions in the real folder format, and the bundled pocket model."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from photowords import backbones, pocket
from photowords.backbones import Backbone
from tests import small_models


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
