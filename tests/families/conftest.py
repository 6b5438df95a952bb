"""A small model of each family, loaded by photowords and by diffusers; each file of tests says the names of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from photowords import backbones
from tests import small_models


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return {**small_models.FAMILIES, **small_models.FLOWS}[name](tmp_path_factory.mktemp("small") / name)


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Any:
    return backbones.load(str(folder), "cpu", "fp32")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    return small_models.own_pipeline(folder)
