"""A study that was stopped, damaged, or is still at work."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from photowords import files, study, workers
from photowords.errors import PhotowordsWarning, UserError
from photowords.report import build
from photowords.study import runner
from photowords.study.trial import Outcome, work
from photowords.workers import Event
from tests.study.small_study import DEAD, SMALL, Silent, prepare, results, serially, write


def test_only_what_is_missing_is_done_again(prepared: study.Prepared, finished: Path, half: Path) -> None:
    kept = {name: (half / name).stat().st_mtime_ns for name in results(half) if name.startswith("trials")}
    watcher = Silent()
    study.run(prepared, half, watcher)
    assert watcher.done_before == [trial.id for trial in prepared.trials[:2]]
    assert watcher.begun == [trial.id for trial in prepared.trials[2:]]
    assert results(half) == results(finished)
    assert kept == {name: (half / name).stat().st_mtime_ns for name in kept}


@pytest.mark.parametrize("damage", ['{"id": ', '{"id": "another"}'])
def test_a_damaged_trial_is_moved_aside_and_done_again(
    prepared: study.Prepared, finished: Path, half: Path, damage: str
) -> None:
    file = half / "trials" / f"{prepared.trials[0].id}.json"
    file.write_text(damage)
    watcher = Silent()
    with pytest.warns(PhotowordsWarning, match="is damaged.*done again"):
        study.run(prepared, half, watcher)
    assert watcher.begun[0] == prepared.trials[0].id and len(watcher.begun) == 3
    aside = file.with_name(f"{file.name}.damaged")
    assert aside.read_text() == damage
    aside.unlink()
    assert results(half) == results(finished)


def test_lost_pictures_are_drawn_again(prepared: study.Prepared, finished: Path, half: Path) -> None:
    first = prepared.trials[0].id
    next((half / "pictures" / first).glob("*.png")).unlink()
    watcher = Silent()
    with pytest.warns(PhotowordsWarning, match=f"{first} has lost pictures; it is done again"):
        study.run(prepared, half, watcher)
    assert watcher.begun[0] == first and len(watcher.begun) == 3
    assert results(half) == results(finished)


def test_what_a_file_manager_leaves_is_no_matter(prepared: study.Prepared, finished: Path, half: Path) -> None:
    stray = half / "pictures" / ".DS_Store"
    stray.touch()
    study.run(prepared, half, Silent())
    stray.unlink()
    assert results(half) == results(finished)


def test_a_report_asks_what_the_file_asks_now_and_trials_may_be_added(
    half: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    asked = SMALL.replace("[3]", "[3, 4]").replace("question = ", 'question = "Anew?"  # ')
    more = prepare(write(tmp_path / "b", asked), tiny_folder)
    watcher = Silent()
    study.run(more, half, watcher)
    assert len(watcher.done_before) == 2 and len(more.trials) == 8
    told = json.loads((half / "plan.json").read_text())
    assert told["question"] == "Anew?" and told["trials"] == [trial.id for trial in more.trials]
    build.write(half)
    assert "Anew?" in (half / "report" / "report.md").read_text()
    fewer = prepare(write(tmp_path / "c", SMALL), tiny_folder)
    with pytest.raises(UserError, match=r"is a study with other trials; go on with .* a file that has all of its"):
        study.run(fewer, half, Silent())


def test_a_full_disk_stops_with_one_sentence_and_loses_nothing(
    prepared: study.Prepared, finished: Path, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    last = f"{prepared.trials[3].id}.json"

    def full(source: Any, target: Any) -> None:
        if Path(target).name == last:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=f"cannot write .*{last}: No space left on device"):
        study.run(prepared, half, Silent())
    monkeypatch.setattr(os, "replace", replace)
    assert (half / "trials" / f"{prepared.trials[2].id}.json").exists() and not (half / "trials" / last).exists()
    study.run(prepared, half, Silent())
    assert results(half) == results(finished)


def test_ctrl_c_keeps_what_is_done(prepared: study.Prepared, half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(jobs: Sequence[Any], count: int) -> Generator[Event, None, None]:
        yield Event(0)
        yield Event(0, work(jobs[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "on_processes", stopped)
    with pytest.raises(KeyboardInterrupt, match="3 of 4 trials are kept"):
        study.run(prepared, half, Silent())
    assert (half / "trials" / f"{prepared.trials[2].id}.json").exists()


def test_a_failed_trial_is_named_after_the_others_are_done(
    prepared: study.Prepared, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(jobs: Sequence[Any], count: int) -> Generator[Event, None, None]:
        yield Event(0, Outcome(failure="it is cursed"))
        yield Event(1, work(jobs[1]))

    monkeypatch.setattr(workers, "on_processes", failing)
    with pytest.raises(UserError, match=rf"1 of 4 trials are not done \({prepared.trials[2].id}\): it is cursed"):
        study.run(prepared, half, Silent())
    assert (half / "trials" / f"{prepared.trials[3].id}.json").exists()


def test_a_folder_of_something_else_is_refused(
    prepared: study.Prepared, finished: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something that is no study"):
        study.run(prepared, tmp_path, Silent())
    other = prepare(write(tmp_path / "b", SMALL.replace("[3]", "[4]")), tiny_folder)
    before = results(finished)
    with pytest.raises(UserError, match="is a study with other trials"):
        study.run(other, finished, Silent())
    assert results(finished) == before


def test_a_kill_before_the_first_trial_leaves_a_folder_that_is_known_again(
    prepared: study.Prepared, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "on_processes", serially)
    monkeypatch.setattr(runner, "report", lambda out: {})
    (tmp_path / f".{DEAD}-0123456789ab.photowords").write_text("half of plan.json")
    (tmp_path / files.LOCK).touch()
    study.run(prepared, tmp_path, Silent())
    assert results(tmp_path) == results(finished)


def test_a_kill_while_the_report_is_made_leaves_a_folder_that_goes_on(prepared: study.Prepared, half: Path) -> None:
    made = half / f".{DEAD}-0123456789ab.photowords" / "tables"  # as ``files.atomic_folder`` leaves it
    made.mkdir(parents=True)
    (made / f".{DEAD}-ba9876543210.photowords").write_text("half of a table")
    study.run(prepared, half, Silent())
    assert not made.parent.exists()


def test_what_a_live_process_is_writing_stays(prepared: study.Prepared, half: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        writing = half / "trials" / f".{other.pid}-0123456789ab.photowords"
        writing.write_text("half of a trial")
        study.run(prepared, half, Silent())
        assert writing.exists()
        other.communicate(b"\n")
    study.run(prepared, half, Silent())
    assert not writing.exists()


HOLDING = """
import sys
from pathlib import Path
from photowords import files
with files.locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    input()
"""


def test_two_studies_do_not_share_a_folder(prepared: study.Prepared, half: Path) -> None:
    before = results(half)
    command = [sys.executable, "-c", HOLDING, str(half)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=r"another photowords study is at work in .*half already; wait") as caught:
            study.run(prepared, half, Silent())
        assert "\n" not in str(caught.value) and results(half) == before
        other.kill()  # which lets the folder go
    assert study.run(prepared, half, Silent())["done"] == 4


@pytest.mark.parametrize("key", ["name", "threads", "photowords", "torch"])
def test_a_study_of_another_version_or_name_does_not_go_on(key: str, half: Path, prepared: study.Prepared) -> None:
    plan = json.loads((half / "plan.json").read_text())
    (half / "plan.json").write_text(json.dumps({**plan, key: "another"}))
    before = results(half)
    with pytest.raises(UserError, match=f"is a study with other {key}; go on with the same model and versions"):
        study.run(prepared, half, Silent())
    assert results(half) == before
