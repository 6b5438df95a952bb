"""Reports of studies where something went otherwise: photos of several shapes, trials that diverged, one concept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from photowords.report import build, results
from photowords.report.alike import alike
from photowords.report.blocks.reach import times_sooner
from photowords.report.wording import ratio
from tests.report.synthetic import STEPS, edit, make, table, trial

REACH = [{"kind": "reach", "reference": "star"}]


def change(folder: Path, concept: str, arm: str, seed: int, what: Any) -> None:
    (id_,) = (file.stem for file in (folder / "trials").glob(f"{concept}-{arm}-s{seed}-*.json"))
    edit(folder, id_, what)


def framed_so(cut: bool, record: dict[str, Any]) -> None:
    record["spec"].update(settings={"resize": "squash"}, cut=cut)


def test_photos_of_several_shapes_are_compared_each_with_itself(tmp_path: Path) -> None:
    blocks = [{"kind": "table", "metrics": ["held-out-loss"], "step": 100, "reference": "star"}, *REACH]
    folder = make(tmp_path / "out", blocks=blocks)
    for file in (folder / "trials").iterdir():
        cut = file.name.startswith("mug")  # the others are square
        edit(folder, file.stem, partial(framed_so, cut))
    assert alike(results.read(folder), "held-out-loss", "star", "star")
    build.write(folder)
    assert all(row["difference"] for row in table(folder, "01-table") if row["arm"] != "star")
    assert len(table(folder, "02-reach")) == 12 and "Left out" not in (folder / "report" / "report.md").read_text()


def test_a_reference_that_diverged_is_no_goal(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=REACH)

    def cut(record: dict[str, Any]) -> None:
        record["checkpoints"], record["diverged"] = record["checkpoints"][:2], "the loss was nan at step 11"

    change(folder, "mug", "star", 0, cut)
    build.write(folder)
    goal = {row["concept"]: float(row["target"]) for row in table(folder, "01-reach") if row["arm"] == "caption"}
    (other,) = (file.stem for file in (folder / "trials").glob("mug-star-s1-*.json"))
    assert goal["mug"] == pytest.approx(trial(folder, other)["checkpoints"][-1]["held_out"]["mean"], rel=1e-4)


def test_an_arm_that_diverged_before_the_goal_has_not_reached_it(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=[{"kind": "reach", "reference": "star", "metric": "lpips"}])

    def cut(record: dict[str, Any]) -> None:
        record["checkpoints"], record["diverged"] = record["checkpoints"][:1], "the loss was nan at step 2"
        record["checkpoints"][0]["scores"] = {}

    for seed in (0, 1):
        change(folder, "mug", "caption", seed, cut)
    build.write(folder)
    rows = {row["concept"]: row for row in table(folder, "01-reach") if row["arm"] == "caption"}
    assert len(rows) == 4 and (rows["mug"]["reached"], rows["mug"]["training_sample_steps"]) == ("0", "")


def test_a_goal_that_is_no_better_than_the_start_has_no_share(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=REACH)

    def worse(record: dict[str, Any]) -> None:
        for point in record["checkpoints"]:
            point["held_out"]["mean"] = 0.2 + 0.001 * point["step"]

    for file in (folder / "trials").iterdir():
        if "-star-" in file.name:
            edit(folder, file.stem, worse)
        else:
            edit(
                folder,
                file.stem,
                lambda t: [p["held_out"].update(mean=0.4 - 0.003 * p["step"]) for p in t["checkpoints"]],
            )
    build.write(folder)
    row = next(row for row in table(folder, "01-reach") if row["arm"] == "caption")
    assert row["reached"] == "1" and row["ratio"] == "" and float(row["training_sample_steps"]) > 4 * STEPS[1]
    text = (folder / "report" / "report.md").read_text()
    assert "4 of 4 | – |" in text and "| not reached |" not in text
    known = times_sooner([2.0, float("nan"), 4.0, 2.0])
    assert ratio(known.mean) == "2×" and ratio(times_sooner([float("nan")]).mean) == "–"


def test_an_arm_as_good_as_a_goal_that_is_none_has_no_share_either(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=REACH)
    for file in (folder / "trials").iterdir():
        level = 0.2 if "-star-" in file.name else 0.1
        edit(folder, file.stem, lambda t, level=level: [p["held_out"].update(mean=level) for p in t["checkpoints"]])
    build.write(folder)
    rows = table(folder, "01-reach")
    ratios = {arm: {row["ratio"] for row in rows if row["arm"] == arm} for arm in ("star", "caption")}
    assert ratios == {"star": {"1"}, "caption": {""}}


def test_arms_that_were_measured_otherwise_are_no_curve_beside_the_others(tmp_path: Path) -> None:
    blocks = [
        {"kind": "curves", "metrics": ["held-out-loss", "training-loss"]},
        {"kind": "table", "metrics": ["held-out-loss"], "step": 100, "reference": "star"},
    ]
    folder = make(tmp_path / "out", blocks=blocks)
    for file in (folder / "trials").glob("*-caption-*"):
        edit(folder, file.stem, lambda t: t["spec"].update(settings={"learnable_property": "style"}))
    build.write(folder)
    drawn = {(row["arm"], row["metric"]) for row in table(folder, "01-curves")}
    assert ("caption", "held-out-loss") not in drawn and ("caption", "training-loss") in drawn
    assert ("class", "held-out-loss") in drawn and ("star", "held-out-loss") in drawn
    assert (folder / "report" / "report.md").read_text().count(
        "Left out of held-out loss: caption, measured on other tuples"
    ) == 2


def test_the_best_stop_of_one_concept_is_no_share_of_anything(tmp_path: Path) -> None:
    blocks = [{"kind": "frontier", "x": "clip-editability", "y": "clip-reconstruction"}]
    folder = make(tmp_path / "out", blocks=blocks, concepts=("mug",))
    build.write(folder)
    rows = table(folder, "01-frontier")
    assert any(row["best_stop"] == "1" for row in rows) and not any(row["share"] for row in rows)
    assert "nan" not in (folder / "report" / "report.md").read_text()
    assert "100 %" not in (folder / "report" / "report.md").read_text()
