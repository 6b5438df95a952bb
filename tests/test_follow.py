"""A run is followed and stopped through its folder alone, by whoever can read it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import files, follow, jobs, learning, segmentation
from photowords.backbones import Backbone
from photowords.cli import main
from photowords.errors import UserError
from photowords.follow import Stopped
from photowords.inversion import Run
from photowords.jobs import Job
from photowords.settings import InvertSettings
from photowords.starts import Words

SETTINGS = InvertSettings(steps=6, held_out=8, evaluate_every=3)
START = Words(words="blue checkered mug")


@pytest.fixture
def photo(tmp_path: Path, mug: Image.Image) -> Path:
    path = tmp_path / "mug.png"
    mug.save(path)
    return path


def begin(tiny: Backbone, photo: Path, out: Path, **options: Any) -> Run:
    return learning.begin(tiny, [photo], out, START, "mug", SETTINGS, **{"samples": 0, **options})


def test_a_run_says_where_it_stands(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    run = begin(tiny, photo, tmp_path / "run")
    seen = [(follow.state(run.folder), follow.status(run.folder).step)]
    with learning.course(run, tiny) as taken:
        for step in taken:
            now = follow.status(run.folder)
            assert now.state == "learning" and now.step == step.index
            assert [row["step"] for row in now.losses] == [*range(step.index + 1)], "every step is on record at once"
        assert now.time_left(SETTINGS.steps) == 0
    seen.append((follow.state(run.folder), follow.status(run.folder).step))
    assert seen == [("interrupted", None), ("done", 6)]
    assert now.seconds["invert"] > 0


def test_the_error_is_that_of_the_difference_from_step_0(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    run = begin(tiny, photo, tmp_path / "run")
    with learning.course(run, tiny) as taken:
        steps = [step.held_out for step in taken if step.held_out is not None]
    rows = [row for row in follow.status(run.folder).losses if "held_out" in row]
    assert [row["step"] for row in rows] == [0, 3, 6] and "error" not in rows[0]
    for row, each in zip(rows[1:], steps[1:], strict=True):
        assert row["error"] == pytest.approx(float((steps[0] - each).std() / 8**0.5), rel=1e-3)


def test_a_run_that_is_asked_to_stop_keeps_what_it_reached(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    learning.go_on(begin(tiny, photo, tmp_path / "whole"), tiny)
    run = begin(tiny, photo, tmp_path / "cut")
    with pytest.raises(Stopped, match="stopped at step 4"), learning.course(run, tiny) as taken:
        for step in taken:
            if step.index == 4:
                follow.stop(run.folder)
                assert follow.state(run.folder) == "stopping"
    assert follow.state(run.folder) == "stopped" and (run.folder / "checkpoints" / "000004.safetensors").exists()
    learning.go_on(Run.open(run.folder), tiny)
    assert follow.state(run.folder) == "done"
    for name in ("concept.safetensors", "losses.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_ctrl_c_and_failures_stand_in_the_folder(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    run = begin(tiny, photo, tmp_path / "run")
    for error, state in ((KeyboardInterrupt(), "stopped"), (RuntimeError("no room\nat all"), "failed")):
        with pytest.raises(type(error)), learning.course(Run.open(run.folder), tiny) as taken:
            for _ in taken:
                raise error
        assert follow.state(run.folder) == state
    assert follow.status(run.folder).error == "RuntimeError: no room"
    learning.go_on(Run.open(run.folder), tiny)
    assert (follow.state(run.folder), follow.error(run.folder)) == ("done", None)
    with pytest.raises(UserError, match="already has 6 steps"):
        learning.go_on(Run.open(run.folder), tiny, steps=5)
    assert follow.state(run.folder) == "done", "a finished run stays so"
    assert "already has 6 steps" in (follow.error(run.folder) or "")


def test_one_process_at_a_time(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    run = begin(tiny, photo, tmp_path / "run")
    with (
        learning.course(run, tiny) as taken,
        pytest.raises(UserError, match=r"at work in .* already"),
        learning.course(Run.open(run.folder), tiny),
    ):
        next(taken)
    assert not files.is_locked(run.folder)


def test_who_is_killed_holds_nothing(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from photowords import follow\n"
    code += "with follow.hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert follow.state(tmp_path) == "starting"
    process.kill()
    process.wait()
    process.stdout.close()
    assert follow.state(tmp_path) == "interrupted"


def test_a_look_at_the_lock_keeps_nobody_out(tmp_path: Path) -> None:
    with files.locked(tmp_path, "a test"):
        assert files.is_locked(tmp_path)
    with (tmp_path / files.LOCK).open("rb") as file:
        assert files._take(file, shared=True)  # somebody looks, for a while that is shorter than the patience
        with pytest.raises(UserError, match="a test is at work"), files.locked(tmp_path, "a test"):
            pass
    with files.locked(tmp_path, "a test"):
        pass


def test_follow_tells_each_change_and_ends_with_the_run(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    run = begin(tiny, photo, tmp_path / "run")
    follow.enqueue(run.folder, 9)
    assert follow.state(run.folder) == "queued" and (run.folder / "queued").read_text() == "9"
    told = follow.follow(run.folder, every=0.01)
    assert next(told).state == "queued"
    with learning.course(run, tiny) as taken:
        for step in taken:
            now = next(told)
            assert (now.state, now.step) == ("learning", step.index)
    assert [status.state for status in told] == ["done"]
    follow.stop(str(run.folder))
    assert follow.state(str(run.folder)) == "done"


def test_a_run_taken_further_has_the_pictures_of_one_made_for_it(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    run = begin(tiny, photo, tmp_path / "run", samples=1)
    for steps in (run.settings.steps, run.settings.steps + 2):
        learning.go_on(run, tiny, steps)
        shown = sorted(path.name for path in (run.folder / "samples").iterdir())
        assert shown == ["step_000000.png", f"step_{steps:06d}.png"]


def test_a_line_that_is_being_written_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "losses.jsonl").write_text('{"step": 0, "loss": null}\n[3]\n{"step": 1, "lo')
    assert [row["step"] for row in follow.status(tmp_path).losses] == [0]
    (tmp_path / "losses.jsonl").write_bytes(b"\xff\xfe\n")
    assert follow.status(tmp_path).losses == []


def test_pictures_at_checkpoints_change_no_bit(tiny: Backbone, photo: Path, tmp_path: Path) -> None:
    plain = begin(tiny, photo, tmp_path / "plain")
    shown = begin(tiny, photo, tmp_path / "shown", samples=1, samples_at="checkpoints")
    for run in (plain, shown):
        learning.go_on(run, tiny)
    assert sorted(path.name for path in (shown.folder / "samples").iterdir()) == [
        f"step_{step:06d}.png" for step in (0, 3, 6)
    ]
    for name in ("concept.safetensors", "losses.jsonl"):
        kept, other = ((run.folder / name).read_bytes() for run in (plain, shown))
        assert kept == other, name
    assert follow.seconds(shown.folder)["samples"] > 0
    with pytest.raises(UserError, match="`samples_at` is 'often'"):
        begin(tiny, photo, tmp_path / "other", samples_at="often")


def job(folder: Path, photo: Image.Image, words: tuple[tuple[str, bool], ...], **options: Any) -> Path:
    files.make_folder(folder / jobs.FOLDER)
    photo.save(jobs.photo(folder, 0))
    told = {"steps": 2, "held_out": 8, "evaluate_every": 1}
    Job("mug", words, told, 0, **{"model": "pocket", "dtype": "fp32", **options}).write(folder)
    return folder


def test_a_job_becomes_the_run_that_it_asks_for(mug: Image.Image, tmp_path: Path) -> None:
    mask = Image.new("L", mug.size)
    mask.paste(255, (40, 40, 200, 200))
    clicks = segmentation.Clicks(((90.0, 90.0),), ((3.0, 3.0),))
    told = segmentation.Selection(mask, "graph cut", clicks).as_json()
    folder = tmp_path / "run"
    files.make_folder(folder / jobs.FOLDER)
    segmentation.save_mask(mask, jobs.mask(folder, 0))
    words = (("blue", True), ("mug", True), ("blue", False))
    follow.enqueue(job(folder, mug, words, selections=(told,)))
    assert follow.state(folder) == "queued" and jobs.is_waiting(folder)
    assert main(["invert", "--out", str(folder), "--resume"]) == 0
    run = Run.open(folder)
    assert follow.state(folder) == "done" and run.about["words"] == [list(word) for word in words]
    assert [word.trainable for word in run.start().words] == [True, True, False]
    assert run.start().provenance["masks"][0]["clicks"]["on"] == [[90.0, 90.0]]
    assert (folder / "overlay.png").exists() and not (folder / "queued").exists()


def test_a_job_is_learned_by_the_model_of_what_is_selected(
    mug: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pocket knows the mug, and not the noise around it."""
    monkeypatch.setattr("photowords.backbones.automatic.is_cached", lambda repository: False)
    photo = Image.effect_noise((600, 400), 90).convert("RGB")
    photo.paste(mug.resize((200, 200)), (20, 20))
    mask = Image.new("L", photo.size)
    mask.paste(255, (40, 40, 200, 200))
    told = segmentation.Selection(mask, "a test").as_json()
    words = (("blue", True), ("mug", True))
    whole = job(tmp_path / "whole", photo, words, model="auto")
    assert main(["invert", "--out", str(whole), "--resume"]) == 2
    assert "no picture of the small world" in capsys.readouterr().err
    selected = job(tmp_path / "selected", photo, words, model="auto", selections=(told,))
    segmentation.save_mask(mask, jobs.mask(selected, 0))
    assert main(["invert", "--out", str(selected), "--resume"]) == 0
    assert Run.open(selected).about["model"] == "pocket"


def test_a_job_that_cannot_begin_says_why(mug: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = job(tmp_path / "run", mug, (("blue", False), ("mug", False)))
    assert main(["invert", "--out", str(folder), "--resume", "--steps", "3"]) == 2
    assert "resume it without --steps" in capsys.readouterr().err
    assert main(["invert", "--out", str(folder), "--resume"]) == 2
    assert follow.state(folder) == "failed"
    assert follow.error(folder) == "every word of 'blue mug' is frozen; leave at least one to learn"
    (folder / "job.json").write_text("{")
    assert main(["invert", "--out", str(folder), "--resume"]) == 2
    assert "nor a job that could become one" in capsys.readouterr().err


def test_stop_reaches_a_run_of_the_command_line(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "photowords", "invert", photo, "--out", out, "--words", "blue mug"]
    command += ["--model", "pocket", "--steps", 5000, "--held-out", 8, "--samples", 0, "--evaluate-every", 1000]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 120
    while not (out.exists() and follow.state(out) == "learning" and follow.status(out).step):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.1)
    follow.stop(out)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and f"stopped; go on with: photowords invert --out {out} --resume" in said
    reached = follow.status(out)
    assert reached.state == "stopped" and reached.step and reached.step < 1000
    assert (out / "checkpoints" / f"{reached.step:06d}.safetensors").exists()
