"""Reports of studies that are not finished, diverged, or hold nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from photowords.report import build
from tests.report.synthetic import BLOCKS, edit, make, table, trial


def test_a_study_that_goes_on_is_reported_as_far_as_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "out")
    files = sorted((folder / "trials").iterdir())
    for file in files[5:]:
        file.unlink()
    edit(folder, files[0].stem, lambda t: t.update(diverged="the loss is not finite at step 60"))
    edit(folder, files[0].stem, lambda t: t.update(training_loss=[*t["training_loss"][:59], None]))
    edit(folder, files[0].stem, lambda t: t.update(checkpoints=t["checkpoints"][:4]))
    assert build.write(folder) | {"report": 0, "page": 0} == {
        **{"trials": 5, "planned": 24, "report": 0, "page": 0},
        **{"tables": len(list((folder / "report" / "tables").glob("*.csv")))},
        **{"figures": len(list((folder / "report" / "figures").glob("*.png")))},
    }
    text = (folder / "report" / "report.md").read_text()
    assert "5 of 24 trials are finished" in text and f"{files[0].stem} (the loss is not finite at step 60)" in text
    assert build.check(folder) == []


def test_a_checkpoint_above_its_start_is_reported(study: Path, tmp_path: Path) -> None:
    text = (study / "report" / "report.md").read_text()
    assert "No trial's held-out loss lies above its start's at any checkpoint." in text
    folder = make(tmp_path / "out", blocks=[], concepts=("mug", "cat"), arms={"star": "*"}, seeds=(0,))
    worse = next(file.stem for file in (folder / "trials").iterdir() if file.stem.startswith("cat"))
    edit(folder, worse, lambda t: t["checkpoints"][1]["held_out"].update(difference=0.004))
    build.write(folder)
    (row,) = table(folder, "above-start")
    assert (row["arm"], row["step"], row["trials_above"], row["trials"], row["ids"]) == ("star", "10", "1", "2", worse)
    other = next(file.stem for file in (folder / "trials").iterdir() if file.stem.startswith("mug"))
    fell = trial(folder, other)["checkpoints"][1]["held_out"]["difference"]
    assert float(row["mean"]) == pytest.approx((0.004 + fell) / 2, rel=1e-4)
    assert "Where learning did harm" in (folder / "report" / "report.md").read_text()


def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[:1], concepts=("mug",), arms={"star": "*"}, seeds=(0,))
    id_ = next((folder / "trials").iterdir()).stem
    edit(folder, id_, lambda t: t.update(training_loss=[0.1, None, 0.3]))
    edit(folder, id_, lambda t: t["checkpoints"][1]["held_out"].update(mean=None, difference=None))
    build.write(folder)
    rows = table(folder, "01-curves")
    assert [row["step"] for row in rows if row["metric"] == "training-loss"] == ["1"]
    assert [row["step"] for row in rows if row["metric"] == "held-out-loss"] == ["0", "25", "50", "100"]
    assert all(row["low"] == row["high"] == "" for row in rows)  # one trial: no interval


def test_a_study_without_a_trial_has_a_report_that_says_so(tmp_path: Path) -> None:
    folder = make(tmp_path / "out")
    shutil.rmtree(folder / "trials")
    build.write(folder)
    assert "0 of 24 trials are finished" in (folder / "report" / "report.md").read_text()
    assert build.check(folder) == []
