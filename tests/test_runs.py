"""Runs: stopped, killed, resumed to the same bits, asked for more."""

from __future__ import annotations

import dataclasses
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import formats, images, learning
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.inversion import Diverged, Run, invert
from photowords.inversion.rule import Tangent
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.small_models import FEW, words_concept


def learn(backbone: Backbone, out: Path, photo: Path, settings: InvertSettings) -> dict[str, Any]:
    return learning.learn(backbone, [photo], out, Words(words="blue checkered mug"), "mug", settings, samples=0)


@pytest.fixture
def photo(tmp_path: Path, mug: Image.Image) -> Path:
    path = tmp_path / "mug.png"
    mug.save(path)
    return path


def test_a_stopped_run_resumes_to_the_same_bits(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    settings = InvertSettings(steps=6, held_out=8, evaluate_every=2)
    learn(tiny, tmp_path / "whole", photo, settings)

    class Killed(Exception):
        pass

    run = learning.begin(tiny, [photo], tmp_path / "cut", Words(words="blue checkered mug"), "mug", settings, 0)
    with pytest.raises(Killed), learning.course(run, tiny) as taken:
        for step in taken:
            if step.index == 3:
                raise Killed
    learning.go_on(Run.open(tmp_path / "cut"), tiny)
    for name in ("concept.safetensors", "losses.jsonl", "checkpoints/000006.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("failing", ["losses.jsonl", "concept.safetensors", "000004.safetensors"])
def test_a_kill_between_any_two_files_loses_nothing(
    failing: str, tiny: Backbone, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = InvertSettings(steps=4, held_out=8, evaluate_every=2)
    learn(tiny, tmp_path / "whole", photo, settings)
    replace, seen = os.replace, 0

    def killed(source: Any, target: Any) -> None:
        nonlocal seen
        seen += Path(target).name == failing
        last = 1 if failing.startswith("0") else 3  # of steps 0, 2 and 4
        if Path(target).name == failing and seen >= last:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        learn(tiny, tmp_path / "cut", photo, settings)
    learning.go_on(Run.open(tmp_path / "cut"), tiny)
    for name in ("concept.safetensors", "losses.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_that_could_not_be_made_leaves_its_folder_free(
    tiny: Backbone, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left"):
        patch.setattr(os, "replace", full)
        learn(tiny, tmp_path / "run", photo, FEW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mug.png"]
    learn(tiny, tmp_path / "run", photo, FEW)


def test_the_newest_checkpoint_is_the_one_of_the_highest_number(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    learn(tiny, tmp_path / "run", photo, FEW)
    run = Run.open(tmp_path / "run")
    last = run.last_step()
    assert last
    for index in (999_999, 1_000_000):
        run.keep(dataclasses.replace(last, index=index))
    (run.folder / "checkpoints" / "copy of 000001.safetensors").write_bytes(b"")
    found = run.last_step()
    assert found and found.index == 1_000_000


@pytest.mark.parametrize(
    ("before", "after", "batch", "said"),
    [
        (1, 2, 32, "threads 1 and goes on with 2"),
        (4, 3, 4, "threads 4 and goes on with 3"),
        (1, 2, 4, None),  # such small steps take one thread of two
        (2, 2, 32, None),
        (None, 2, 32, None),  # an older run
    ],
)
def test_another_number_of_threads_is_warned_of_where_it_counts(
    before: int | None,
    after: int,
    batch: int,
    said: str | None,
    pocket_model: Backbone,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: before or 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    settings = InvertSettings(steps=1, held_out=2, batch=batch)
    run = learning.begin(pocket_model, [photo], tmp_path / "run", Words(words="red mug"), "mug", settings, 0)
    if before is None:
        del run.about["threads"]
        run.save_settings()
    monkeypatch.setattr(torch, "get_num_threads", lambda: after)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learning.go_on(run, pocket_model)
    told = [str(one.message) for one in caught if "last bits" in str(one.message)]
    assert told == ([f"the run was begun with {said}; the result may differ in its last bits"] if said else [])


def test_other_pictures_beside_the_runs_own_are_no_photos_of_it(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    learn(tiny, tmp_path / "run", photo, InvertSettings(steps=1, held_out=2))
    for stray in ("._0.png", "copy.png"):
        (tmp_path / "run" / "photos" / stray).touch()
    run = Run.open(tmp_path / "run")
    assert len(run.photos()) == len(run.masks()) == 1


def test_a_finished_run_can_be_asked_for_more_steps(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    learn(tiny, tmp_path / "long", photo, InvertSettings(steps=4, held_out=8, evaluate_every=2))
    learn(tiny, tmp_path / "short", photo, InvertSettings(steps=2, held_out=8, evaluate_every=2))
    result = learning.go_on(Run.open(tmp_path / "short"), tiny, steps=4)
    assert [row["step"] for row in result["held_out_loss"]["curve"]] == [0, 2, 4]
    long, short = (Run.open(tmp_path / name).losses() for name in ("long", "short"))
    assert long == short
    assert Run.open(tmp_path / "short").settings.steps == 4, "the longer goal is remembered"
    with pytest.raises(UserError, match="already has 4 steps"):
        learning.go_on(Run.open(tmp_path / "short"), tiny, steps=3)


def test_a_run_asked_for_more_steps_is_the_run_made_for_them(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    """Also where the first end, step 3, is no step of the longer run's evaluations."""
    learn(tiny, tmp_path / "long", photo, InvertSettings(steps=5, held_out=8, evaluate_every=2))
    learn(tiny, tmp_path / "short", photo, InvertSettings(steps=3, held_out=8, evaluate_every=2))
    learning.go_on(Run.open(tmp_path / "short"), tiny, steps=5)
    for name in ("concept.safetensors", "start.safetensors", "losses.jsonl", "settings.json"):
        assert (tmp_path / "short" / name).read_bytes() == (tmp_path / "long" / name).read_bytes(), name
    left, right = (sorted(p.name for p in (tmp_path / run / "checkpoints").iterdir()) for run in ("short", "long"))
    assert left == right


def test_a_loss_above_the_starts_is_said(
    tiny: Backbone, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = Tangent.__call__
    monkeypatch.setattr(Tangent, "__call__", lambda self, state, gradient, *told: down(self, state, -gradient, *told))
    with pytest.warns(PhotowordsWarning, match=r"the held-out loss after step [\d, ]+ lies above the start's"):
        learn(tiny, tmp_path / "run", photo, FEW)


def test_the_seconds_of_a_resumed_run_are_those_of_all_its_parts(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    whole = learn(tiny, tmp_path / "run", photo, FEW)["seconds"]
    again = learning.go_on(Run.open(tmp_path / "run"), tiny)["seconds"]
    assert again["invert"] >= whole["invert"] and again["read"] == whole["read"]
    more = learning.go_on(Run.open(tmp_path / "run"), tiny, steps=6)["seconds"]
    assert more["invert"] > again["invert"]


def test_nan_stops_the_run_and_keeps_the_last_good_concept(
    tiny: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, predict = 0, tiny.predict

    def spoiled(noisy: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        nonlocal calls
        calls += len(t) == 4  # a training step, not the held-out loss
        return predict(noisy, t, conditioning) * (float("nan") if calls == 3 and len(t) == 4 else 1.0)

    monkeypatch.setattr(tiny, "predict", spoiled)
    with pytest.raises(Diverged, match="became nan at step 3; the concept of step 2 is kept"):
        learn(tiny, tmp_path / "run", photo, InvertSettings(steps=6, held_out=8, evaluate_every=5))
    kept = formats.read(tmp_path / "run")
    assert kept.provenance["step"] == 2 and kept.vectors("clip_l").isfinite().all()


def test_vectors_that_are_no_numbers_are_never_the_last_good_ones(
    tiny: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the loss is finite and its gradient is not."""
    step = Tangent.__call__

    def spoiled(rule: Tangent, state: Any, gradient: Tensor, rho: float, size: float, index: int) -> dict[str, Tensor]:
        return step(rule, state, gradient * (float("nan") if index == 2 else 1), rho, size, index)

    monkeypatch.setattr(Tangent, "__call__", spoiled)
    settings = dataclasses.replace(FEW, evaluate_every=50)
    steps = invert(tiny, words_concept(tiny), [images.load_photo(photo)], settings)
    assert [next(steps).index, next(steps).index] == [0, 1]
    with pytest.raises(Diverged, match="at step 2; the concept of step 1 is kept"):
        next(steps)


def test_a_folder_in_use_is_never_overwritten(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for also in ("thesis.txt", "job.json"):  # which a job's file is called, too
        (tmp_path / "mine" / also).write_text("years of work")
        with pytest.raises(UserError, match="is not empty"):
            learn(tiny, tmp_path / "mine", photo, FEW)
    learn(tiny, tmp_path / "run", photo, FEW)
    with pytest.raises(UserError, match="already holds a run; `resume` it"):
        learn(tiny, tmp_path / "run", photo, FEW)
    with pytest.raises(UserError, match=r"is where the run .* has its own; give another folder"):
        learn(tiny, tmp_path / "run" / "masks", photo, FEW)
    with pytest.raises(UserError, match="is a file"):
        learn(tiny, photo, photo, FEW)
    with pytest.raises(UserError, match="not a run of photowords"):
        Run.open(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_photos_keep_their_order_beyond_ten(tiny: Backbone, tmp_path: Path) -> None:
    photos = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(11)]
    run = Run.create(tmp_path / "run", FEW, {"model": "tiny"}, photos, words_concept(tiny))
    assert [photo.getpixel((0, 0)) for photo in run.photos()] == [(number, 0, 0) for number in range(11)]
