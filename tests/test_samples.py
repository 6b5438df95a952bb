"""The pictures that a run draws of itself: of which prompt, of which step's concept, from which seeds."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from photowords import learning
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.inversion import Run
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Words


@pytest.mark.parametrize(
    ("learnable_property", "prompt"),
    [("object", "a photo of a {mug}"), ("style", "a painting in the style of {mug}")],
)
def test_a_run_draws_its_start_and_what_it_learned(
    learnable_property: str,
    prompt: str,
    tiny: Backbone,
    mug: Image.Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, int, list[int]]] = []

    def generate(
        model: Backbone, text: str, concepts: list[Concept], seeds: range, settings: GenerateSettings
    ) -> list[Image.Image]:
        drawn.append((text, concepts[0].provenance["step"], list(seeds)))
        return [Image.new("RGB", (8, 8))] * len(seeds)

    monkeypatch.setattr(import_module("photowords.learning.course"), "generate", generate)
    mug.save(tmp_path / "mug.png")
    settings = InvertSettings(steps=3, held_out=4, learnable_property=learnable_property)
    learning.learn(tiny, [tmp_path / "mug.png"], tmp_path / "run", Words(words="red mug"), "mug", settings, samples=2)
    assert drawn == [(prompt, 0, [0, 1]), (prompt, 3, [0, 1])]


def test_pictures_whose_drawing_was_stopped_are_drawn_on_resuming(
    tiny: Backbone, mug: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def generate(_: Backbone, text: str, concepts: list[Concept], *__: object) -> list[Image.Image]:
        drawn.append(concepts[0].provenance["step"])
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return [Image.new("RGB", (8, 8))]

    monkeypatch.setattr(import_module("photowords.learning.course"), "generate", generate)
    mug.save(tmp_path / "mug.png")
    settings = InvertSettings(steps=6, held_out=4, evaluate_every=2)
    start, at = Words(words="red mug"), "checkpoints"
    run = learning.begin(tiny, [tmp_path / "mug.png"], tmp_path / "run", start, "it", settings, 1, samples_at=at)
    with pytest.raises(KeyboardInterrupt):
        learning.go_on(run, tiny)
    learning.go_on(Run.open(run.folder), tiny)
    assert drawn == [0, 2, 2, 4, 6]
    names = sorted(path.name for path in (run.folder / "samples").iterdir())
    assert names == [f"step_{step:06d}.png" for step in (0, 2, 4, 6)]
