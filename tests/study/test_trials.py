"""What a trial leaves behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from photowords import pocket, study
from photowords.study.trial import work
from tests.study.small_study import SMALL, results, write


def test_a_trials_file_says_it_all(prepared: study.Prepared, finished: Path) -> None:
    trial = prepared.trials[1]
    record = json.loads((finished / "trials" / f"{trial.id}.json").read_text())
    assert record["spec"] == json.loads(json.dumps(trial.spec)) and record["arm"] == "words"
    assert record["sentence"] == "red mug" and record["placeholders"] == 2
    assert record["caption"] is record["class"] is record["diverged"] is None
    assert len(record["training_loss"]) == 3
    points = record["checkpoints"]
    assert [point["step"] for point in points] == [0, 2, 3]
    assert [point["training_sample_steps"] for point in points] == [0, 8, 12]
    assert [point["sample_steps"] for point in points] == [6, 20, 30]
    for point in points:
        held_out = point["held_out"]
        assert held_out["mean"] == pytest.approx(sum(held_out["losses"]) / 6, rel=1e-6)
        assert held_out["mean"] - points[0]["held_out"]["mean"] == pytest.approx(held_out["difference"], abs=1e-7)
        assert held_out["thirds"][0] == pytest.approx(sum(held_out["losses"][:2]) / 2, rel=1e-6)
    assert [set(point["scores"]) for point in points] == [{"pocket-lpips"}, {"pocket-lpips"}, set()]
    lpips = points[0]["scores"]["pocket-lpips"]
    assert (lpips["samples"], lpips["seeds"]) == (3, 1) and "pocket-lpips" in record["how"]
    assert [path.name for path in (finished / "pictures" / trial.id).iterdir()] == ["step_000002_0.png"]
    assert (finished / "photos" / "mug.png").exists() and (finished / "report" / "report.html").exists()


def test_the_starts_that_read_the_photo_say_what_they_read(tmp_path: Path) -> None:
    arms = '[[arms]]\nname = "caption"\ninit = "caption"\n[[arms]]\nname = "class"\ninit = "class"\n'
    arms += '[[arms]]\nname = "other"\ninit = "other-caption"\n'
    text = SMALL.split("[[arms]]")[0].replace('metrics = ["pocket-lpips"]', "").replace("steps = 2", "steps = 1")
    text = text.replace("evaluate_at = [0, 2]\nscore_at = [0, 2]\npictures_at = [2]\n", "")
    text = text.replace('"cup"', '{name = "x", photo = "cup", class = "red vase"}')
    prepared = study.prepare(write(tmp_path, text + arms), device="cpu", dtype="fp32")
    caption, label, other = (work(prepared.job(trial)).record for trial in prepared.trials[:3])
    assert caption and label and other
    assert caption["caption"].endswith(caption["sentence"]) and caption["placeholders"] > label["placeholders"]
    assert label["class"] == label["sentence"] and other["sentence"] != caption["sentence"]
    assert [point["step"] for point in caption["checkpoints"]] == [0, 1] and caption["how"] == {}
    given = work(prepared.job(prepared.trials[4])).record
    assert given and given["sentence"] == given["class"] == "red vase" and given["init"] == "class"


def test_results_name_no_place_and_no_time(finished: Path) -> None:
    for name, data in results(finished).items():
        assert str(Path.home()).encode() not in data and b"seconds" not in data, name
        assert str(finished.parent).encode() not in data and str(pocket.HERE).encode() not in data, name


def test_a_diverged_trial_is_a_result(prepared: study.Prepared) -> None:
    trial = prepared.trials[0]
    wild = dataclasses.replace(trial.arm.settings, optimizer="adamw", lr=1e30)
    arm = dataclasses.replace(trial.arm, settings=wild, score_at=())
    outcome = work(prepared.job(dataclasses.replace(trial, arm=arm)))
    assert outcome.failure is None and outcome.record is not None
    assert "the loss became" in outcome.record["diverged"] and outcome.record["checkpoints"][0]["step"] == 0
