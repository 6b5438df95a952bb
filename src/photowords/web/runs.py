"""The folder of runs: which there are, and where each lies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photowords import follow, jobs
from photowords.web import shown
from photowords.web.answers import missing, within
from photowords.web.config import Config
from photowords.web.shown import Shown

MOST_RUNS = 100_000


class Runs:
    """The runs right in one folder, those of the command line too. A link to elsewhere is none."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rows: dict[Path, tuple[object, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Path:
        """The folder of a run. Raises Refused where there is none."""
        folder = within(self._config.runs, name, "run")
        if not jobs.is_run(folder):
            raise missing("run")
        return folder

    def file(self, name: str, path: str) -> Path:
        """A file of a run that the page may see. Raises Refused for another."""
        file = self.find(name) / path
        if not shown.FILES.fullmatch(path) or file.parent.is_symlink() or file.is_symlink():
            raise missing("file")
        return file

    def folders(self) -> list[Path]:
        """All of them."""
        with os.scandir(self._config.runs) as entries:
            found = [
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
        return [folder for folder in found if jobs.is_run(folder)]

    def signature(self) -> object:
        """What differs when something of a run has changed."""
        return [(folder.name, follow.signature(folder)) for folder in sorted(self.folders())]

    def rows(self, queue: Mapping[str, int]) -> list[dict[str, Any]]:
        """All of them for a list, newest first; ``queue`` says whose turn comes when."""
        found = [{**self._row(folder), "queue": queue.get(folder.name)} for folder in self.folders()]
        return sorted(found, key=lambda row: row["when"], reverse=True)

    def _row(self, folder: Path) -> dict[str, Any]:
        signature = follow.signature(folder)
        with self._lock:
            known = self._rows.get(folder)
        if known is None or known[0] != signature:
            known = signature, Shown(folder).row()
            with self._lock:
                self._rows[folder] = known
        return known[1]

    def whole(self, name: str, queue: Mapping[str, int]) -> dict[str, Any]:
        """One of them, for a page of its own."""
        return {**Shown(self.find(name)).whole(), "queue": queue.get(name)}

    def throw_away(self, folder: Path) -> None:
        """Into the trash, under a time and its name, which may be as long as a name can be."""
        when = f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09}"
        os.replace(folder, self._config.trash / os.fsdecode(os.fsencode(f"{when}-{folder.name}")[:255]))

    def new(self, name: str) -> Path:
        """A folder that is made for a run of a concept of this name: mug-1, mug-2, ...; never that of one in the trash,
        which prompts of the page may still mean."""
        gone = {path.name.split("-", 3)[-1] for path in self._config.trash.iterdir()}
        for number in range(1, MOST_RUNS):
            if f"{name}-{number}" in gone:
                continue
            folder = self._config.runs / f"{name}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise missing("room for more runs")
