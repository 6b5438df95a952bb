"""Results are read from the trials' files."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest

from photowords.errors import UserError
from photowords.report import build, results
from tests.report.synthetic import BLOCKS, make, trial

# results


def test_a_training_loss_is_a_running_mean(study: Path) -> None:
    one = results.read(study).trials[0]
    losses = trial(study, one.id)["training_loss"]
    assert one.value("training-loss", 100) == pytest.approx(np.mean(losses[75:]))
    assert one.value("training-loss", 3) == pytest.approx(np.mean(losses[:3]))
    assert one.value("training-loss", 0) is None and one.value("training-loss", 101) is None
    long = dataclasses.replace(one, training_loss=[float(step) for step in range(1, 1001)])
    assert long.value("training-loss", 1000) == np.mean(range(901, 1001))  # the last tenth
    holed = dataclasses.replace(one, training_loss=[1.0, math.nan, 1.0])
    assert holed.steps("training-loss") == [1, 3] and holed.value("training-loss", 3) is None


def test_metrics_are_named_as_the_trials_have_them(study: Path) -> None:
    read = results.read(study)
    assert [read.metric(name) for name in ("lpips", "pocket-lpips", "psnr")] == ["pocket-lpips", "pocket-lpips", "psnr"]
    assert read.metric("sifid") == "pocket-sifid"  # of this suite, though not measured
    assert read.direction("clip-editability") == "higher" and read.direction("training-loss") == "lower"


def test_arms_of_one_label_are_told_apart(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "out", blocks=BLOCKS[2:3], concepts=("mug",), arms={"star": "*", "a": "words", "b": "words"}
    )
    assert [arm.label for arm in results.read(folder).arms] == ["*", "words (a)", "words (b)"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"id": "other"}', "\xff"])
def test_a_damaged_trial_is_named(tmp_path: Path, damage: str) -> None:
    folder = make(tmp_path / "out", blocks=[], concepts=("mug",), seeds=(0,))
    file = next((folder / "trials").iterdir())
    file.write_bytes(damage.encode("latin-1"))
    with pytest.raises(UserError, match=re.escape(f"{file} is damaged")):
        build.write(folder)
    assert not (folder / "report").exists()


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a study's folder"):
        build.write(tmp_path)
    with pytest.raises(UserError, match=r"is not a study's folder"):
        build.check(tmp_path / "absent")
