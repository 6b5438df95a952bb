"""A report's tables and sentences on data with known answers."""

from __future__ import annotations

import hashlib
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photowords.report import build, figures, results, statistics
from photowords.report.alike import alike
from photowords.report.blocks.curves import Curves
from photowords.report.blocks.scores import stands_out
from photowords.report.document import Drawing
from photowords.report.results import WINDOW
from tests.report.synthetic import ARMS, STEPS, edit, make, table, trial

# the report


def test_the_table_says_what_the_trials_say(study: Path) -> None:
    row = next(r for r in table(study, "03-table") if (r["metric"], r["arm"]) == ("held-out-loss", "caption"))
    ids = row["ids"].split()
    assert len(ids) == int(row["trials"]) == 8 and len(row["reference_ids"].split()) == 8
    ends = [trial(study, id_)["checkpoints"][-1]["held_out"]["mean"] for id_ in ids]
    others = [trial(study, id_)["checkpoints"][-1]["held_out"]["mean"] for id_ in row["reference_ids"].split()]
    assert float(row["mean"]) == pytest.approx(np.mean(ends), rel=1e-5)
    assert float(row["difference"]) == pytest.approx(np.mean(ends) - np.mean(others), rel=1e-4)
    assert (row["concepts_won"], row["of_concepts"], row["pairs_won"], row["of_pairs"]) == ("4", "4", "8", "8")
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    text = (study / "report" / "report.md").read_text()
    differences = np.reshape(np.subtract(ends, others), (4, 2)).mean(1)  # over seeds, for each concept
    half = 3.182446 * differences.std(ddof=1) / 2  # t of 3 degrees of freedom; the root of 4 concepts
    said = [f"−{-value:.4f}" for value in (differences.mean(), differences.mean() - half, differences.mean() + half)]
    assert f"| caption | {said[0]} [{said[1]}, {said[2]}]; 4 of 4 concepts, 8 of 8 pairs |" in text
    assert "24 of 24 trials are finished" in text and "| \\* |" in text


def test_every_row_of_every_table_names_trials(study: Path) -> None:
    planned = set(json.loads((study / "plan.json").read_text())["trials"])
    for file in (study / "report" / "tables").glob("*.csv"):
        rows = table(study, file.stem)
        assert rows
        for row in rows:
            assert row["ids"] and set(row["ids"].split()) <= planned
    hashes = {row["ids"]: row["sha256"] for row in table(study, "trials")}
    assert hashes == {
        id_: hashlib.sha256((study / "trials" / f"{id_}.json").read_bytes()).hexdigest() for id_ in planned
    }


def test_reach_is_found_from_the_curves(study: Path) -> None:
    for row in table(study, "04-reach"):
        curves = [trial(study, id_)["checkpoints"] for id_ in row["ids"].split()]
        if row["arm"] == "star":
            assert (
                row["training_sample_steps"] == row["reference_training_sample_steps"] == "400" and row["ratio"] == "1"
            )
            continue
        ours = [c for c, id_ in zip(curves, row["ids"].split(), strict=True) if f"-{row['arm']}-" in id_]
        mean = np.mean([[point["held_out"]["mean"] for point in c] for c in ours], axis=0)
        above = [4 * step for step, loss in zip(STEPS, mean, strict=True) if loss > float(row["target"])]
        assert above[-1] < float(row["training_sample_steps"]) <= 4 * STEPS[above.index(above[-1]) + 1]
        assert float(row["ratio"]) == pytest.approx(400 / float(row["training_sample_steps"]), rel=1e-4)


@pytest.mark.parametrize(
    ("told", "metric"),
    [
        ({"settings": {"held_out": 7}}, "held-out-loss"),
        ({"settings": {"background_weight": 1.0}}, "held-out-loss"),
        ({"settings": {"learnable_property": "style"}}, "held-out-loss"),
        ({"protocol": {"prompts": ["{}"]}}, "pocket-lpips"),
        ({"protocol": {"edits": ["{} at night"]}}, "pocket-clip-editability"),
    ],
)
def test_each_thing_that_is_told_parts_arms_by_itself(tmp_path: Path, told: dict[str, Any], metric: str) -> None:
    folder = make(tmp_path / "out", blocks=[])
    for file in (folder / "trials").glob("*-caption-*"):
        edit(folder, file.stem, lambda trial: trial["spec"].update(told))
    found = results.read(folder)
    assert not alike(found, metric, "star", "caption") and alike(found, metric, "star", "class")


def test_arms_of_other_tuples_or_prompts_are_not_compared(tmp_path: Path) -> None:
    blocks = [
        {"kind": "table", "metrics": ["held-out-loss", "lpips"], "step": 100, "reference": "star"},
        {"kind": "reach", "metric": "held-out-loss", "reference": "star"},
        {"kind": "ablation", "by": "arm", "metric": "held-out-loss"},
        {"kind": "reach", "metric": "training-loss", "reference": "star"},
    ]
    folder = make(tmp_path / "out", blocks=blocks)
    for file in (folder / "trials").iterdir():
        if "-caption-" in file.name:
            edit(
                folder,
                file.stem,
                lambda t: t["spec"].update(settings={"resize": "squash"}, protocol={"prompts": ["{}"]}),
            )
    assert alike(results.read(folder), "held-out-loss", "star", "class")
    build.write(folder)
    rows = {(row["metric"], row["arm"]): row for row in table(folder, "01-table")}
    for metric in {metric for metric, _ in rows}:
        assert rows[metric, "class"]["difference"] and not rows[metric, "caption"]["difference"]
    text = (folder / "report" / "report.md").read_text()
    assert "other tuples in caption, whose numbers do not compare" in text and "one set for all arms" not in text
    assert {row["arm"] for row in table(folder, "02-reach")} == {row["arm"] for row in table(folder, "03-ablation")}
    assert "caption" not in {row["arm"] for row in table(folder, "02-reach")}
    said = ": caption, measured on other tuples or by other prompts than \\*."
    assert text.count(f"Left out{said}") == 3 and text.count(f"Left out of held-out loss{said}") == 1
    assert text.count(f"Left out of pocket-lpips{said}") == 1
    costs = [float(row["training_sample_steps"] or "inf") for row in table(folder, "04-reach")]
    assert min(costs) >= 4 * WINDOW, "a mean of fewer losses is their luck"


def test_what_is_never_reached_is_said(tmp_path: Path) -> None:
    blocks = [{"kind": "reach", "reference": "caption"}]
    folder = make(tmp_path / "out", blocks=blocks, scored=())
    build.write(folder)
    star = [row for row in table(folder, "01-reach") if row["arm"] == "star"]
    assert [(row["reached"], row["training_sample_steps"], row["ratio"]) for row in star] == [("0", "", "0")] * 4
    text = (folder / "report" / "report.md").read_text()
    assert "| \\* | \\> 400 | 0 of 4 | not reached |" in text


def test_bold_needs_intervals_that_do_not_overlap() -> None:
    column = {"a": statistics.Estimate(1, 0.9, 1.1, 4, 8), "b": statistics.Estimate(2, 1.2, 2.8, 4, 8)}
    assert stands_out("a", column, "lower") and not stands_out("b", column, "lower")
    assert stands_out("b", column, "higher")
    column["c"] = statistics.Estimate(1.5, 1.05, 2, 4, 8)
    assert not any(stands_out(label, column, direction) for label in column for direction in ("lower", "higher"))
    assert not stands_out("a", {"a": column["a"]}, "lower")
    one = {label: statistics.Estimate(value, math.nan, math.nan, 1, 1) for label, value in (("a", 1), ("b", 2))}
    assert not stands_out("a", one, "lower")


def test_the_best_stop_is_marked(study: Path) -> None:
    rows = table(study, "06-frontier")
    best = [row for row in rows if row["best_stop"] == "1"]
    assert [row["arm"] for row in best] == list(ARMS)
    text = (study / "report" / "report.md").read_text()
    for label in ARMS.values():  # whichever step is the best, each arm has a row for the plain backbone
        assert f"| {label.replace('*', chr(92) + '*')}: plain backbone (step 0)" in text
    for row in best:
        own = [r for r in rows if r["arm"] == row["arm"]]
        assert float(row["balance"]) == max(float(r["balance"]) for r in own)
        assert sum(float(r["share"]) for r in own) == pytest.approx(1)


def test_the_ringed_step_is_named_where_points_crowd() -> None:
    near = [0.5, 0.5001, 0.9]
    line = figures.Series(0, "a", near, near, near, near, steps=[0, 25, 50], x_low=near, x_high=near, marked=1)
    (axes,) = figures.frontier([line], "x", "y").axes
    assert [text.get_text() for text in axes.texts] == ["25", "50"]


def test_ablation_leaves_only_what_the_seed_does(study: Path) -> None:
    rows = table(study, "07-ablation")
    sums: dict[tuple[str, str], float] = {}
    for row in rows:
        sums[row["arm"], row["concept"]] = sums.get((row["arm"], row["concept"]), 0) + float(row["deviation"])
    assert len(sums) == 12 and all(abs(total) < 1e-8 for total in sums.values())
    ends = {row["ids"]: trial(study, row["ids"])["checkpoints"][-1]["held_out"]["mean"] for row in rows}
    for row in rows:
        own = [ends[r["ids"]] for r in rows if (r["arm"], r["concept"]) == (row["arm"], row["concept"])]
        assert float(row["deviation"]) == pytest.approx(ends[row["ids"]] - np.mean(own), rel=1e-3, abs=1e-9)


def test_a_curves_points_are_the_trials_means_at_their_steps_or_their_cost(study: Path) -> None:
    rows = [row for row in table(study, "02-curves") if row["arm"] == "caption"]
    assert [int(row["training_sample_steps"]) for row in rows] == [4 * step for step in STEPS]
    for number, row in enumerate(rows):
        means = [trial(study, id_)["checkpoints"][number]["held_out"]["mean"] for id_ in row["ids"].split()]
        assert len(means) == 8 and float(row["mean"]) == pytest.approx(np.mean(means), rel=1e-5)
    for x, cost in (("steps", 1), ("training-sample-steps", 4)):
        section = Curves.read({"metrics": ["held-out-loss"], "x": x}, [*ARMS]).make(results.read(study), "a")
        (panel,) = (part for part in section.parts if isinstance(part, Drawing))
        assert isinstance(panel.draw, partial)
        assert [list(line.x) for line in panel.draw.args[0]] == [[cost * step for step in STEPS]] * len(ARMS)
