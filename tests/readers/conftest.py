"""A random captioner of each family and a mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from tests.small_readers import SAVE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A random captioner of a family, made once."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            torch.manual_seed(0)
            SAVE[family](made[family])
        return made[family]

    return make


@pytest.fixture
def mask(mug: Image.Image) -> Image.Image:
    """Some of the left half."""
    mask = Image.new("L", mug.size)
    ImageDraw.Draw(mask).ellipse((32, 64, 127, 191), fill=255)
    return mask
