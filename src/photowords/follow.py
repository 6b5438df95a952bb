"""A run seen from outside: where it stands, from its folder's files alone, and what it can be asked.

Nothing here loads a model. Beside what ``inversion.Run`` keeps, a run's folder may hold:

queued                  it waits for its turn; the number of steps to reach, or nothing for its own
stop                    it was asked to stop, or was stopped; the trainer looks for this file after each step
error.txt               why it failed, one sentence
.lock.photowords        held by the process that learns; the system lets go of it however that process ends
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from photowords import files
from photowords.errors import UserError, reason

START, CONCEPT = "start.safetensors", "concept.safetensors"
QUEUED, STOP, ERROR, RESULT, LOSSES, SETTINGS, SECONDS, WORDS = (
    *("queued", "stop", "error.txt", "result.json"),
    *("losses.jsonl", "settings.json", "seconds.json", "words.json"),
)
WATCHED = (QUEUED, STOP, ERROR, RESULT, LOSSES, SETTINGS, SECONDS, "samples", "pictures", WORDS)
"""What changes while a run does."""
State = Literal["queued", "starting", "learning", "stopping", "stopped", "done", "failed", "interrupted"]
ENDED: tuple[State, ...] = ("stopped", "done", "failed", "interrupted")


class Stopped(KeyboardInterrupt):
    """A run was asked to stop through its folder. Like Ctrl-C, it has kept what was reached and can be resumed."""


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: queued, starting, learning, stopping; or, when no process works on it, stopped, done, failed, or
            interrupted: it was killed and can be resumed.
        step: the last step on record; None before step 0.
        losses: the steps on record: step, loss (None at step 0), and where they were measured held_out and error, the
            paired standard error of held_out's difference from step 0's.
        seconds: so far, by phase.
        error: why it failed, one sentence; of a run that is done or stopped, why it did not come to go on.
    """

    state: State
    step: int | None
    losses: list[dict[str, Any]]
    seconds: dict[str, float]
    error: str | None

    def time_left(self, steps: int) -> float | None:
        """Seconds of learning until so many steps, at the pace so far; None where none is known."""
        if self.state != "learning" or not self.step or "invert" not in self.seconds:
            return None
        return self.seconds["invert"] / self.step * max(0, steps - self.step)


def state(folder: Path | str) -> State:
    """Where a run stands, by the files of its folder and by whether a living process holds it."""
    folder = Path(folder)
    if files.is_locked(folder):
        if (folder / STOP).exists():
            return "stopping"
        # A run that goes on leaves its losses as they were until the model is loaded.
        return "starting" if _is_from_before(folder / LOSSES, folder / files.LOCK) else "learning"
    marks: tuple[tuple[str, State], ...] = ((QUEUED, "queued"), (RESULT, "done"), (STOP, "stopped"), (ERROR, "failed"))
    return next((state for name, state in marks if (folder / name).exists()), "interrupted")


def _is_from_before(file: Path, other: Path) -> bool:
    """Whether a file was last written before the other was, or is not there."""
    try:
        return file.stat().st_mtime_ns <= other.stat().st_mtime_ns
    except OSError:
        return True


def status(folder: Path | str) -> Status:
    """Where a run stands; what cannot be read is left out. Raises UserError where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no run folder {folder}")
    losses = [found for found in map(as_row, whole_lines(folder / LOSSES)) if found]
    step = losses[-1]["step"] if losses else None
    return Status(state(folder), step, losses, seconds(folder), error(folder))


def follow(folder: Path | str, every: float = 0.5) -> Iterator[Status]:
    """The status of a run now and at each change, looked for ``every`` so many seconds, until no process works on it
    and it waits for none. Raises UserError where there is no such folder."""
    folder, before = Path(folder), None
    while True:
        if (now := signature(folder)) != before:
            before, found = now, status(folder)
            yield found
            if found.state in ENDED:
                return
        time.sleep(every)


def signature(folder: Path) -> tuple[object, ...]:
    """What differs when something of a run has changed; cheap to ask."""
    marks: list[object] = [files.is_locked(folder)]
    for name in WATCHED:
        try:
            stat = (folder / name).stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((stat.st_mtime_ns, stat.st_size))
    return tuple(marks)


def stop(folder: Path | str, why: str = "") -> None:
    """Ask a run to stop, and say why if it matters. One that learns keeps what it reached; one that waits no longer
    does. Raises UserError where its folder cannot be written."""
    folder = Path(folder)
    (folder / QUEUED).unlink(missing_ok=True)
    if state(folder) not in ("done", "failed"):
        files.write_text(folder / STOP, why)


def enqueue(folder: Path | str, steps: int | None = None) -> None:
    """Let a run wait for its turn, to begin or to go on, to so many steps or to its own.

    One that was stopped is so again where its turn comes to nothing.
    """
    files.write_text(Path(folder) / QUEUED, "" if steps is None else str(steps))


def asked_to_stop(folder: Path) -> str | None:
    """Why the process that works on a run should stop, where ``stop`` was told; None where it need not."""
    try:
        return (folder / STOP).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the process that works on a run. How that ends stands in the folder; a run that was done or stopped, and did
    not come to go on, still is.

    Raises UserError when another process works on it.
    """
    with files.locked(folder, "another photowords"):
        was_stopped, before = (folder / STOP).exists(), _size(folder / LOSSES)
        for name in (QUEUED, STOP, ERROR):
            (folder / name).unlink(missing_ok=True)
        try:
            yield
        except KeyboardInterrupt:
            with suppress(UserError):  # a full disk: it says interrupted then
                files.write_text(folder / STOP, "")
            raise
        except Exception as error:
            fail(folder, sentence(error))
            if was_stopped and _size(folder / LOSSES) == before:
                with suppress(UserError):
                    files.write_text(folder / STOP, "")
            raise


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None


def sentence(error: BaseException) -> str:
    """An error in one sentence."""
    return str(error) if isinstance(error, (UserError, Stopped)) else f"{type(error).__name__}: {reason(error)}"


def fail(folder: Path, sentence: str) -> None:
    """Note why a run failed; it waits no longer."""
    with suppress(UserError):
        files.write_text(folder / ERROR, " ".join(sentence.split()) + "\n")
    (folder / QUEUED).unlink(missing_ok=True)


def error(folder: Path) -> str | None:
    """Why a run failed; None where it did not."""
    with suppress(OSError, ValueError):
        return (folder / ERROR).read_text(encoding="utf-8").strip()
    return None


def seconds(folder: Path) -> dict[str, float]:
    """Seconds by phase that a run has taken so far, all its beginnings together."""
    with suppress(OSError, ValueError):
        told = json.loads((folder / SECONDS).read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return told
    return {}


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that another process may be writing: what has no line end yet is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def as_row(line: str) -> dict[str, Any] | None:
    """A line of the losses; None for what is none."""
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and isinstance(found.get("step"), int):
            return found
    return None
