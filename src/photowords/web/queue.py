"""Who learns next. Each run is a process of its own, which outlives the server; one of them learns at a time.

Nothing of this is kept in memory but the process that was just started: whose turn it is stands in the runs' folders.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photowords import files, follow, jobs
from photowords.web.config import Config
from photowords.web.runs import Runs
from photowords.web.shown import LOG

EVERY = 0.5
"""Seconds between two looks at the folder of runs."""
NICE = 5
"""So much less of the processor than what answers clicks."""
STOPPING_SECONDS = 5.0


@dataclass(frozen=True)
class Started:
    """The process that was started for a run, and what it was that it waited with."""

    folder: Path
    mark: int | None
    process: subprocess.Popen[bytes]


class Queue:
    """Starts the runs that wait, in the order in which they were asked for."""

    def __init__(self, config: Config, runs: Runs) -> None:
        self._config, self._runs = config, runs
        self._started: Started | None = None
        self._turn = threading.Lock()  # a run that is just being started can be stopped only when it was

    async def work(self, begun: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Look whose turn it is, for ever; ``begun`` is told when a run was started."""
        telling: asyncio.Task[None] | None = None
        while True:
            before = self._started
            with suppress(OSError):  # a full disk: perhaps there is room later
                await asyncio.to_thread(self.look)
            if self._started is not before and self._started is not None and (telling is None or telling.done()):
                telling = asyncio.create_task(begun())
            await asyncio.sleep(EVERY)

    def waiting(self) -> list[Path]:
        """The runs that wait, the first one first."""
        found = []
        for folder in self._runs.folders():
            with suppress(OSError):
                found.append(((folder / follow.QUEUED).stat().st_mtime_ns, folder))
        return [folder for _, folder in sorted(found) if follow.state(folder) == "queued"]

    def places(self) -> dict[str, int]:
        """Whose turn comes when, from 1."""
        return {folder.name: place for place, folder in enumerate(self.waiting(), 1)}

    def look(self) -> None:
        """Start the first that waits, unless one learns."""
        with self._turn:
            self._look()

    def _look(self) -> None:
        if self._started is not None:
            before = self._started
            if before.process.poll() is None:
                return
            self._started = None
            if before.mark is not None and before.mark == _mark(
                before.folder
            ):  # it never came to begin, and would not the next time
                follow.fail(before.folder, _last_error(before.folder))
        if any(follow.state(folder) in ("starting", "learning", "stopping") for folder in self._runs.folders()):
            return
        if waiting := self.waiting():
            mark = _mark(waiting[0])
            self._started = Started(waiting[0], mark, self._start(waiting[0]))

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "photowords", "invert", "--out", str(folder), "--resume"]
        if not jobs.is_waiting(folder):  # a job says its own
            steps = (folder / follow.QUEUED).read_text().strip()
            command += ["--device", self._config.device]
            command += ["--steps", str(int(steps))] if steps.isdecimal() else []
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        return process

    def stop(self, folder: Path) -> None:
        """Ask a run to stop, or take it out of the queue."""
        with self._turn:
            self._stop(folder)

    def _stop(self, folder: Path) -> None:
        follow.stop(folder)
        started = self._started
        if started is None or started.folder != folder or started.process.poll() is not None:
            return
        if not files.is_locked(folder):  # it was started and has not come to hold its folder: it need not
            started.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                started.process.wait(STOPPING_SECONDS)
        follow.stop(folder)  # again: who comes to hold the folder takes the first for that of an earlier run


def _mark(folder: Path) -> int | None:
    """What tells one asking to learn from the next; None where a run does not wait."""
    try:
        return (folder / follow.QUEUED).stat().st_mtime_ns
    except OSError:
        return None


def _last_error(folder: Path) -> str:
    said = [line for line in follow.whole_lines(folder / LOG) if line.strip()]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return errors[-1] if errors else f"the process could not begin: {said[-1][:300] if said else 'it said nothing'}"
