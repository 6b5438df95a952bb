"""What a block says is what the trials say: at the last step where none is named, of the metric and parts named."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photowords.report import build, results
from photowords.report.blocks.ablation import Ablation
from photowords.report.blocks.frontier import Frontier
from photowords.report.document import Drawing, Table
from photowords.report.results import Results
from photowords.report.wording import significant
from tests.report.synthetic import ARMS, CONCEPTS, SCORED, SEEDS, make, table, trial

RECONSTRUCTION, EDITABILITY = "pocket-clip-reconstruction", "pocket-clip-editability"
BLOCKS: list[dict[str, Any]] = [
    {"kind": "table", "metrics": ["lpips"], "reference": "star"},
    {"kind": "ablation", "by": "arm", "metric": "held-out-loss"},
    {"kind": "frontier", "x": "clip-editability", "y": "clip-reconstruction"},
    {"kind": "reach", "metric": "clip-reconstruction", "reference": "star"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make(tmp_path_factory.mktemp("said") / "out", blocks=BLOCKS)
    build.write(made)
    return made


@pytest.fixture(scope="module")
def read(folder: Path) -> Results:
    return results.read(folder)


def ends(read: Results) -> np.ndarray:
    """The held-out losses after the last step, (arms, concepts, seeds)."""
    found = {arm: read.values(arm, "held-out-loss", 100) for arm in ARMS}
    return np.array([[[found[arm][concept, seed] for seed in SEEDS] for concept in CONCEPTS] for arm in ARMS])


def test_a_table_without_a_step_shows_the_last(folder: Path) -> None:
    rows = table(folder, "01-table")
    assert [(row["arm"], row["step"]) for row in rows] == [(arm, "100") for arm in ARMS]
    for row in rows:
        own = [trial(folder, id_)["checkpoints"][-1]["scores"]["pocket-lpips"]["value"] for id_ in row["ids"].split()]
        assert len(own) == 8 and float(row["mean"]) == pytest.approx(np.mean(own), rel=1e-5)


def test_an_ablation_by_arm_leaves_only_what_the_arm_does_after_the_last_step(folder: Path, read: Results) -> None:
    values = ends(read)
    rows = {(row["arm"], row["concept"], int(row["seed"])): row for row in table(folder, "02-ablation")}
    assert len(rows) == values.size
    for a, arm in enumerate(ARMS):
        for c, concept in enumerate(CONCEPTS):
            for s in SEEDS:
                row = rows[arm, concept, s]
                assert float(row["value"]) == pytest.approx(values[a, c, s], rel=1e-5)
                assert float(row["deviation"]) == pytest.approx(values[a, c, s] - values[:, c, s].mean(), abs=1e-7)


def test_spreads_stand_under_what_they_are_over(read: Results) -> None:
    block = Ablation.read({"by": "seed", "metric": "held-out-loss"}, [*ARMS])
    (spreads,) = (part for part in block.make(read, "a").parts if isinstance(part, Table))
    assert spreads.head == ["standard deviation", "over seeds", "over concepts", "over arms", "trials"]
    values = ends(read)
    pooled = [float(np.sqrt(values.var(axis, ddof=1).mean())) for axis in (2, 1, 0)]
    assert spreads.rows[-1] == ["all arms", *map(significant, pooled), "24"] and len(set(spreads.rows[-1])) == 5


def test_a_frontier_has_each_metric_on_its_own_axis(folder: Path, read: Results) -> None:
    rows = [row for row in table(folder, "03-frontier") if row["arm"] == "caption"]
    assert [int(row["step"]) for row in rows] == [*SCORED]
    means = {
        metric: [np.mean([*read.values("caption", metric, step).values()]) for step in SCORED]
        for metric in (EDITABILITY, RECONSTRUCTION)
    }
    for metric, own in means.items():
        assert [float(row[metric]) for row in rows] == pytest.approx(own, rel=1e-5)
    section = Frontier.read({"x": "clip-editability", "y": "clip-reconstruction"}, [*ARMS]).make(read, "a")
    (drawing,) = (part for part in section.parts if isinstance(part, Drawing))
    assert isinstance(drawing.draw, partial)
    line = next(line for line in drawing.draw.args[0] if line.label == "caption")
    assert [*line.x] == pytest.approx(means[EDITABILITY]) and [*line.y] == pytest.approx(means[RECONSTRUCTION])


def test_what_is_better_where_higher_is_reached_from_below(folder: Path) -> None:
    rows = {(row["arm"], row["concept"]): row for row in table(folder, "04-reach")}
    for concept in CONCEPTS:
        star, caption = rows["star", concept], rows["caption", concept]
        assert float(star["training_sample_steps"]) == float(star["reference_training_sample_steps"]) == 400
        assert 0 < float(caption["training_sample_steps"]) < 400
