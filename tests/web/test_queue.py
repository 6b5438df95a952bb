"""A run that was started and does not hold its folder yet is stopped by ending its process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from photowords import files, follow
from photowords.web import studies
from photowords.web.config import Config
from photowords.web.queue import Queue
from photowords.web.runs import Runs

IMPORTS = [sys.executable, "-c", "import time; time.sleep(60)"]
"""Stands for the seconds that a trainer takes until it holds its folder."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "mug-1"
    folder.mkdir()
    (folder / "settings.json").write_text('{"settings": {"steps": 50}, "about": {"name": "mug"}}')
    (folder / "start.safetensors").touch()
    return folder


def test_a_folder_that_nobody_may_look_into_is_no_run_and_no_study(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, looked = tmp_path / "lost+found", Path.is_file
    closed.mkdir()

    def is_file(path: Path) -> bool:
        if path.parent == closed:
            raise PermissionError(13, "Permission denied")
        return looked(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert Runs(Config(tmp_path, tmp_path)).folders() == [run]
    assert not studies._is_study(closed)


@pytest.fixture
def queue(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Queue, list[subprocess.Popen[bytes]]]]:
    """A queue and the processes that it starts."""
    started: list[subprocess.Popen[bytes]] = []

    def start(self: Queue, folder: Path) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(IMPORTS))
        return started[-1]

    monkeypatch.setattr(Queue, "_start", start)
    yield Queue(Config(run.parent, run.parent), Runs(Config(run.parent, run.parent))), started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("end", "state"), [("result.json", "done"), ("error.txt", "failed"), (None, "stopped")])
def test_a_run_that_is_about_to_go_on_is_stopped(
    end: str | None, state: str, run: Path, queue: tuple[Queue, list[subprocess.Popen[bytes]]]
) -> None:
    asked, started = queue
    if end is not None:
        (run / end).write_text("{}\n")
    follow.enqueue(run, 100)
    asked.look()
    assert follow.state(run) == "queued" and started[0].poll() is None
    asked.stop(run)
    assert started[0].poll() is not None and follow.state(run) == state
    asked.look()
    assert len(started) == 1 and follow.state(run) == state, "it waits no longer"


@pytest.mark.parametrize("held", [True, False])
def test_only_a_run_that_holds_its_folder_is_asked_through_it(
    held: bool, run: Path, queue: tuple[Queue, list[subprocess.Popen[bytes]]]
) -> None:
    asked, started = queue
    follow.enqueue(run)
    asked.look()
    with files.locked(run, "a test") if held else nullcontext():
        asked.stop(run)
        assert (started[0].poll() is None) is held and follow.asked_to_stop(run) is not None


def test_a_stop_while_a_run_is_being_started_is_not_lost(
    run: Path, queue: tuple[Queue, list[subprocess.Popen[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, started = queue
    follow.enqueue(run)
    start, stopping = asked._start, threading.Thread(target=asked.stop, args=(run,))

    def slowly(folder: Path) -> subprocess.Popen[bytes]:
        stopping.start()
        time.sleep(0.3)
        return start(folder)

    monkeypatch.setattr(asked, "_start", slowly)
    asked.look()
    stopping.join()
    assert started[0].poll() is not None and follow.state(run) == "stopped"
