"""A concept of the mug, and two real steps on its photo."""

from __future__ import annotations

from typing import Any

import pytest

from photowords import images, pocket
from photowords.backbones import Backbone
from photowords.inversion import Run, invert
from photowords.settings import InvertSettings
from tests.small_models import words_concept


@pytest.fixture(scope="module")
def mug_concept(pocket_model: Backbone) -> Any:
    return words_concept(pocket_model, "teal and white checkered mug", "it")


@pytest.fixture(scope="module")
def run(pocket_model: Backbone, mug_concept: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two real steps on the mug's photo."""
    folder = tmp_path_factory.mktemp("runs") / "mug"
    settings = InvertSettings(steps=2, batch=1, held_out=6, evaluate_every=2)
    photo = images.load_photo(pocket.view("mug"))
    made = Run.create(folder, settings, {"model": "pocket", "sentence": mug_concept.sentence}, [photo], mug_concept)
    for step in invert(pocket_model, mug_concept, [photo], settings):
        made.record(step)
    return made
