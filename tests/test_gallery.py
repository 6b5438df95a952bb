"""A report's pictures: which strip stands in which row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords.report import pictures, results
from photowords.report.blocks import parse
from photowords.report.document import Drawing, Section, Text
from photowords.report.results import ArmLabel, Results, TrialResult

PROMPTS = ("a photo of a {}", "Banksy art of {}")


@pytest.fixture
def study(tmp_path: Path) -> Results:
    """Two concepts x two arms x two seeds, two steps and two prompts, each strip of a colour of its own."""
    trials = []
    for c, concept in enumerate(("mug", "cat")):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (c, 0, 0)).save(tmp_path / "photos" / f"{concept}.png")
        for a, arm in enumerate(("caption", "wrong-word")):
            for seed in (0, 1):
                id_ = f"{concept}-{arm}-{seed}"
                for step in (0, 100):
                    for number in (0, 1):
                        file = tmp_path / results.picture_file(id_, step, number)
                        file.parent.mkdir(parents=True, exist_ok=True)
                        Image.new("RGB", (36, 16), (c, 10 * a + seed, 2 * step + number)).save(file)
                trials.append(trial(id_, concept, arm, seed))
    arms = (ArmLabel(0, "caption", "caption"), ArmLabel(1, "wrong-word", "a wrong word"))
    ids = tuple(each.id for each in trials)
    return Results(tmp_path, {"report": []}, ids, ("mug", "cat"), arms, tuple(trials))


def trial(id_: str, concept: str, arm: str, seed: int) -> TrialResult:
    label, caption = (None, f"a red {concept}") if arm == "caption" else (None, None)
    return TrialResult(
        *(id_, {}, concept, arm, seed, concept, 1, label, caption, (), {}, {}, None),
        *(PROMPTS, (0, 100), "0" * 64),
    )


def drawn(section: Section, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, list[Any]]]:
    """Columns' titles, and each row's label with the colours of its strips (red, green, blue; None for none)."""
    seen: dict[str, Any] = {}

    def note(rows: list[pictures.Row], columns: list[str]) -> None:
        cells = {row.label: [strip and strip.getpixel((0, 0)) for strip in row.strips] for row in rows}
        seen.update(rows=cells, columns=columns, photos=[row.photo is not None for row in rows])

    monkeypatch.setattr(pictures, "gallery", note)
    (drawing,) = [part for part in section.parts if isinstance(part, Drawing)]
    drawing.draw()
    return seen["columns"], seen["rows"] | {"photos": seen["photos"]}


def make(study: Results, **keys: Any) -> Section:
    return parse({"kind": "gallery", **keys}, ["caption", "wrong-word"]).make(study, "01-gallery")


def test_a_row_for_each_concept_and_a_column_for_each_arm(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    columns, rows = drawn(make(study), monkeypatch)
    assert columns == ["caption", "a wrong word"] and rows["photos"] == [True, True]
    assert rows["mug"] == [(0, 0, 200), (0, 10, 200)] and rows["cat"] == [(1, 0, 200), (1, 10, 200)]


def test_steps_seeds_and_prompts_in_rows_and_columns(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    section = make(study, columns="step", step=[0, 100], arms=["caption"])
    assert drawn(section, monkeypatch)[0] == ["step 0", "step 100"]
    columns, rows = drawn(make(study, columns="seed", seeds=[0, 1], arms=["wrong-word"], step=0), monkeypatch)
    assert columns == ["seed 0", "seed 1"] and rows["cat"] == [(1, 10, 0), (1, 11, 0)]

    # What has several values and is named nowhere joins the rows; the photo stands once for each concept.
    section = make(study, columns="prompt", prompts=list(PROMPTS))
    columns, rows = drawn(section, monkeypatch)
    assert columns == list(PROMPTS) and rows["photos"] == [True, False, True, False]
    assert rows["mug, a wrong word"] == [(0, 10, 200), (0, 10, 201)]
    (drawing,) = [part for part in section.parts if isinstance(part, Drawing)]
    assert drawing.caption.startswith("Pictures (step 100): a row for each concept and arm, a column for each prompt.")

    data = section.data["01-gallery-pictures"]
    assert len(data) == 8 and data[0] == {
        "concept": "mug",
        "arm": "caption",
        "step": 100,
        "seed": None,
        "prompt": "a photo of a {}",
        "file": "pictures/mug-caption-0/step_000100_0.png",
        "ids": "mug-caption-0",
    }


def test_what_is_not_there_yet_is_blank_or_said(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    (study.folder / results.picture_file("mug-wrong-word-0", 100, 0)).unlink()
    _, rows = drawn(make(study), monkeypatch)
    assert rows["mug"] == [(0, 0, 200), None]
    section = make(study, step=[50], said=False)
    assert next(part.text for part in section.parts if isinstance(part, Text)) == (
        "No finished trial has kept pictures after step 50."
    )


def test_the_figure_has_a_place_for_each_picture(study: Results) -> None:
    strip = Image.new("RGB", (4 * 64 + 3 * 4, 64), "red")
    figure = pictures.gallery(
        [pictures.Row("mug", strip, [strip, None]), pictures.Row("", None, [strip] * 2)], ["a", "b"]
    )
    shown = [len(axes.images) for axes in figure.axes]
    assert shown == [1, 1, 0, 0, 1, 1] and [axes.get_title("left") for axes in figure.axes[:3]] == ["photo", "a", "b"]
    assert figure.axes[1].images[0].get_array().shape[1] == 2 * strip.width  # all four, enlarged
