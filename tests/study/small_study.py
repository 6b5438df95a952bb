"""A study small enough to run in seconds, and what its tests share."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from photowords import files, study
from photowords.study.trial import Outcome
from photowords.workers import Event

DEAD = 2**22 + 1  # a process number that Linux never gives
SMALL = """
name = "small"
question = "Does it work?"
concepts = ["mug", "cup"]
seeds = [3]
metrics = ["pocket-lpips"]
samples = 1
evaluate_at = [0, 2]
score_at = [0, 2]
pictures_at = [2]
[settings]
steps = 2
held_out = 6
[[arms]]
name = "star"
init = "star"
[[arms]]
name = "words"
label = "the words"
init = "words"
words = "a red mug"
steps = 3
"""


def write(folder: Path, text: str = SMALL) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return file


def results(folder: Path) -> dict[str, bytes]:
    """Everything in a study's folder but its report and what is no result."""
    skipped = ("report", "timings.jsonl", "errors.log", files.LOCK)
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(skipped)}


def serially(jobs: Sequence[Any], count: int) -> Generator[Event, None, None]:
    """As workers.on_processes, here."""
    for index, job in enumerate(jobs):
        yield Event(index)
        yield Event(index, job.work())


def prepare(file: Path, model: Path) -> study.Prepared:
    return study.prepare(file, str(model), "cpu", "fp32")


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done_before: list[str] = []

    def begin(self, trials: Any, done: Any, seconds: float, workers: int | None) -> None:
        self.done_before = [trial.id for trial in done]

    def started(self, trial: Any) -> None:
        self.begun.append(trial.id)

    def ended(self, trial: Any, outcome: Outcome, seconds_left: float) -> None:
        assert seconds_left >= 0
