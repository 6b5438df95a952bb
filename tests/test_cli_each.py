"""photowords invert --each, as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import follow, images, learning, pocket
from photowords.backbones import Backbone
from photowords.cli.each import Table
from photowords.inversion import Inversion, Run, Step
from photowords.learning.each import Task
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.command import refused, run

FEW = ("--words", "red mug", "--samples", 0, "--steps", 2, "--held-out", 2, "--batch", 1)
SETTINGS = InvertSettings(steps=4, batch=2, held_out=4, evaluate_every=2)


def test_processes_learn_and_a_photo_that_cannot_be_read_costs_itself_alone(
    tmp_path: Path, tasks: list[Task], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    options = ("--model", tiny_folder, *FEW)
    photos = [task.photo for task in tasks[:2]]
    status, out, err = run(
        capsys, "invert", "--each", *photos, tmp_path / "bad.png", "--out", tmp_path / "runs", *options, "--workers", 1
    )
    assert status == 2 and "1 of 3 photos are not done, bad.png because" in err and "is not an image" in err
    assert "2 of 3 concepts" in out and "3/3 1  done" in err
    for task in tasks[:2]:
        assert Run.open(task.folder).result()["sample_steps"] == 2 + 2 * 2
    status, out, _ = run(capsys, "invert", "--each", *photos, "--out", tmp_path / "runs", *options, "--json")
    assert status == 0 and list(json.loads(out)["runs"]) == ["0", "1"]


@pytest.mark.usefixtures("here")
def test_on_a_terminal_a_table_shows_each_from_before_its_folder_is_there(
    tmp_path: Path,
    tasks: list[Task],
    tiny_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    photos = [*(task.photo for task in tasks), tmp_path / "bad.png"]
    monkeypatch.setattr("photowords.cli.each.sys.stderr.isatty", lambda: True, raising=False)
    step = Inversion.step

    def stopped(one: Inversion, *rest: Any) -> Step:
        if tasks[2].folder.exists():  # it begins last
            follow.stop(tasks[2].folder)
        return step(one, *rest)

    monkeypatch.setattr(Inversion, "step", stopped)
    options = ("--model", tiny_folder, *FEW)
    status, out, err = run(capsys, "invert", "--each", *photos, "--out", tmp_path / "runs", *options)
    assert status == 2 and "2 of 4 concepts" in out, err
    assert "2 of 4 photos are not done, bad.png because" in err and "Stopped:" not in err
    last = err.rpartition("of 4 have ended")[0]
    for name, state in (("0", "done"), ("1", "done"), ("2", "stopped"), ("bad", "failed")):
        assert re.search(rf"│ {name} +│ {state} ", last), err


def test_a_row_of_the_table_is_what_the_folder_says(tasks: list[Task], tiny: Backbone) -> None:
    table = Table(tasks, 4)
    assert table._row(tasks[0]) == ("waiting", "", "")
    table.ended(tasks[0], "it is no image")
    assert table._row(tasks[0]) == ("failed", "", "")
    learning.learn(tiny, [tasks[1].photo], tasks[1].folder, Words(words="red mug"), "it", SETTINGS, 0)
    state, step, losses = table._row(tasks[1])
    assert (state, step) == ("done", "4/4") and re.fullmatch(r"\d\.\d{4} -> \d\.\d{4}", losses)


def test_options_that_do_not_go_together_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mug, out = pocket.view("mug"), ("--out", tmp_path / "runs")
    assert "add --each" in refused(capsys, "invert", mug, *out, "--workers", 2)
    assert "goes on by itself" in refused(capsys, "invert", "--each", mug, *out, "--resume")
    for one in (("--click", "1,1"), ("--background-weight", 0)):
        assert "is of one photo" in refused(capsys, "invert", "--each", mug, *out, *one)
    assert "--segmenter is of one photo" in refused(capsys, "invert", "--each", mug, *out, "--segmenter", "sam")
    assert "the same run folder" in refused(capsys, "invert", "--each", mug, tmp_path / mug.name, *out)


def test_a_name_that_prompts_cannot_call_and_another_run_as_the_folder_are_refused(
    tasks: list[Task], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ("--each", tasks[0].photo, "--model", tiny_folder, "--words", "red mug", "--steps", 1, "--samples", 0)
    assert "cannot be used in a prompt" in refused(capsys, "invert", *rest, "--out", tasks[0].folder, "--name", "")
    assert not tasks[0].folder.exists()
    assert run(capsys, "invert", *rest[1:], "--out", tasks[0].folder)[0] == 0
    assert "holds a run; give --each a folder for runs" in refused(capsys, "invert", *rest, "--out", tasks[0].folder)
    inside = tasks[0].folder / "samples" / "x"
    assert "is where the run" in refused(capsys, "invert", *rest, "--out", inside) and not inside.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--words", ""), "--init words needs the words"), (("--dtype", "fp7"), "dtype 'fp7' is unknown")],
)
def test_what_is_wrong_is_said_before_a_model_is_fetched(
    options: tuple[str, str],
    said: str,
    tmp_path: Path,
    tasks: list[Task],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photowords.backbones.load", lambda *_: pytest.fail("a model is loaded"))
    out = tmp_path / "each"
    assert said in refused(capsys, "invert", "--each", tasks[0].photo, "--out", out, "--model", "sd15", *options)
    assert not out.exists()


def test_a_photo_of_the_open_world_is_named(
    tmp_path: Path, tasks: list[Task], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    images.save_png(Image.effect_noise((128, 128), 90).convert("RGB"), tmp_path / "real.png")
    monkeypatch.setattr("photowords.backbones.automatic.is_cached", lambda _: False)
    photos = (tmp_path / "bad.png", pocket.view("mug"), tmp_path / "real.png")
    said = refused(capsys, "invert", "--each", *photos, "--out", tmp_path / "each")
    assert said.startswith("error: real.png is no picture of the small world")
