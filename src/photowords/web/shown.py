"""What the page shows of a run, read from its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from photowords import follow, jobs
from photowords.errors import UserError
from photowords.jobs import Job
from photowords.settings import InvertSettings
from photowords.web.answers import said

ROWS = 400
"""Training losses that are sent at most."""
FILES = re.compile(
    r"(photos|job)/\d{1,3}\.png|masks/\d{1,3}\.png|samples/step_\d{1,9}\.png|(overlay|loss|words)\.png", re.ASCII
)
"""What of a run's folder the page may see."""
DAMAGED = "its settings.json cannot be read"


def url(run: str, path: str) -> str:
    """Of a file in a run's folder."""
    return f"/api/runs/{quote(run, safe='')}/files/{path}"


class Shown:
    """One run, as it is now."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder.name
        self.status = follow.status(folder)
        self.name, self.words, self.sentence, self.model = "", list[dict[str, Any]](), "", ""
        self.settings: dict[str, Any] = {}
        self.samples, self.samples_at, self.pointed = 0, jobs.SAMPLES_AT[0], pointed(None)
        self.error = self.status.error
        try:
            self._read()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
            self.error = self.error or DAMAGED

    def _read(self) -> None:
        if (self.folder / follow.SETTINGS).is_file():
            record = json.loads((self.folder / follow.SETTINGS).read_text(encoding="utf-8"))
            about, self.settings = record["about"], dict(record["settings"])
            self.sentence = str(about.get("sentence", ""))
            words = about.get("words") or [[text, True] for text in self.sentence.split()]
        else:
            job = Job.read(self.folder)
            about = vars(job)
            self.settings = vars(job.invert_settings())
            self.sentence, words = job.sentence, job.words
        self.words = [{"text": str(text), "trainable": bool(trainable)} for text, trainable in words]
        self.name, self.model, self.samples = str(about["name"]), str(about["model"]), int(about.get("samples", 0))
        self.samples_at = str(about.get("samples_at", self.samples_at))
        self.pointed = pointed(next(iter(about.get("selections", ())), None))

    @property
    def steps(self) -> int | None:
        """How many it is to take."""
        steps = self.settings.get("steps", InvertSettings().steps)
        with suppress(OSError, ValueError):
            steps = int((self.folder / follow.QUEUED).read_text())
        return steps if isinstance(steps, int) else None

    def when(self) -> float:
        """Seconds since 1970 when it was asked for or begun."""
        for name in (jobs.FILE, follow.START, follow.SETTINGS):
            with suppress(OSError):
                return (self.folder / name).stat().st_mtime
        return 0.0

    def pictures(self) -> list[tuple[int, str]]:
        """Its sampled pictures: step and address, in order."""
        found = sorted((self.folder / "samples").glob("step_*.png")) if (self.folder / "samples").is_dir() else []
        return [
            (int(path.stem.removeprefix("step_")), url(self.run, f"samples/{path.name}"))
            for path in found
            if FILES.fullmatch(f"samples/{path.name}")
        ]

    def photos(self) -> list[str]:
        """Its photos, in its folder."""
        for place in ("photos", jobs.FOLDER):
            found = [path.name for path in (self.folder / place).glob("*.png") if path.stem.isdigit()]
            if found:
                return [f"{place}/{name}" for name in sorted(found, key=lambda name: int(name[:-4]))]
        return []

    def row(self) -> dict[str, Any]:
        """For a list of runs."""
        measured = [row for row in self.status.losses if "held_out" in row]
        pictures, photos = self.pictures(), self.photos()
        return {
            "run": self.run,
            "name": self.name,
            "state": "failed" if self.error == DAMAGED else self.status.state,
            "sentence": self.sentence,
            "step": self.status.step,
            "steps": self.steps,
            "queue": None,
            "start_loss": measured[0]["held_out"] if measured else None,
            "loss": measured[-1]["held_out"] if measured else None,
            "measured": measured[-1]["step"] if measured else None,
            "photo_url": f"/api/runs/{quote(self.run, safe='')}/small.png" if photos else None,
            "picture_url": pictures[-1][1] if pictures else None,
            "when": self.when(),
            "error": self.error and said(self.error),
        }

    def whole(self) -> dict[str, Any]:
        """For a page of its own."""
        state, steps = self.status.state, self.steps or 0
        overlay = self.folder / "overlay.png"
        begun = bool(self.status.losses)
        return {
            **self.row(),
            "words": self.words,
            "losses": self._losses(),
            "samples": [{"step": step, "url": address} for step, address in self.pictures()],
            "photos": [url(self.run, path) for path in self.photos()],
            "overlay_url": url(self.run, "overlay.png") if overlay.is_file() else None,
            "settings": self.settings,
            "samples_asked": self.samples,
            "samples_at": self.samples_at,
            **self.pointed,
            "model": self.model,
            "seconds": self.status.seconds,
            "time_left": self.status.time_left(steps),
            "warnings": warnings(self.folder),
            "pictures": sorted(path.name for path in (self.folder / "pictures").glob("*") if path.is_dir()),
            "can": {
                "stop": state in ("queued", "starting", "learning"),
                "resume": state in ("stopped", "failed", "interrupted"),
                "more": state == "done",
                "use": begun and (self.folder / follow.CONCEPT).is_file(),
                "delete": state in follow.ENDED or state == "queued",
            },
        }

    def _losses(self) -> list[dict[str, Any]]:
        rows = self.status.losses
        every = max(1, len(rows) // ROWS)
        first = next((row["held_out"] for row in rows if "held_out" in row), None)
        kept = []
        for number, row in enumerate(rows):
            if "held_out" in row or number % every == 0 or number == len(rows) - 1:
                told = {"step": row["step"], "loss": row.get("loss")}
                if "held_out" in row:
                    told |= {"held_out": row["held_out"], "gained": first - row["held_out"], "error": row.get("error")}
                kept.append(told)
        return kept


def pointed(selection: Mapping[str, Any] | None) -> dict[str, Any]:
    """Where the object is in a photo, as the page points at it; ``masked`` where only a mask from a file says it."""
    told = (selection or {}).get("clicks") or {"on": [], "off": [], "box": None}
    clicks = [{"x": x, "y": y, "not": kind == "off"} for kind in ("on", "off") for x, y in told[kind]]
    return {"clicks": clicks, "box": told["box"], "masked": bool(selection) and not (clicks or told["box"])}


def warnings(folder: Path) -> list[str]:
    """What the trainer warned of, each once."""
    prefix = "warning: "
    found = [line.removeprefix(prefix) for line in follow.whole_lines(folder / LOG) if line.startswith(prefix)]
    return [said(sentence) for sentence in dict.fromkeys(found)][-10:]


LOG = "log.txt"
"""What the trainer printed; those that the command line started have none."""
