"""Studies: how far each is, and its report. Read from the study's folder; a study is started on the command line."""

from __future__ import annotations

import itertools
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from photowords import files, follow
from photowords.web import answers
from photowords.web.answers import Streams, missing
from photowords.web.config import Config

PLAN, TRIALS, ERRORS, REPORT = "plan.json", "trials", "errors.log", "report/report.html"
SHOWN = re.compile(r"(report|pictures|photos)(/[\w][\w.-]*){1,4}\.(html|svg|png|pdf|csv|md|tex|json)", re.ASCII)
"""What of a study's folder the page may see."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""For a report, which has its style in itself and no script."""


class Studies:
    """The studies right in one folder. A link to elsewhere is none."""

    def __init__(self, config: Config, streams: Streams) -> None:
        self._folder, self._streams = config.studies, streams

    def routes(self) -> list[Route]:
        one = "/api/studies/{study}"
        return [
            Route("/api/studies", self.every),
            Route(one, self.one),
            Route(one + "/events", self.follow),
            Route(one + "/files/{path:path}", self.file),
        ]

    def _find(self, name: str) -> Path:
        folder = answers.within(self._folder, name, "study")
        if not _is_study(folder):
            raise missing("study")
        return folder

    def every(self, request: Request) -> Response:
        found = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            found = sorted(Path(entry.path) for entry in entries if not entry.name.startswith("."))
        told = [shown(folder) for folder in found if _is_study(folder)]
        return JSONResponse([{key: one[key] for key in SUMMARY} for one in told if one])

    def one(self, request: Request) -> Response:
        folder = self._find(request.path_params["study"])
        if (told := shown(folder)) is None:
            raise missing("study that can be read")
        return JSONResponse(told)

    def follow(self, request: Request) -> Response:
        folder = self._find(request.path_params["study"])

        def look() -> object:
            places = [folder / name for name in (PLAN, TRIALS, ERRORS, REPORT)]
            return [path.stat().st_mtime_ns if path.exists() else 0 for path in places], files.is_locked(folder)

        return self._streams.stream("study", look, lambda: shown(folder))

    def file(self, request: Request) -> Response:
        folder, path = self._find(request.path_params["study"]), request.path_params["path"]
        if not SHOWN.fullmatch(path) or any((folder / part).is_symlink() for part in Path(path).parents):
            raise missing("file")
        answer = answers.file(folder / path)
        answer.headers["content-security-policy"] = POLICY
        return answer


SUMMARY = ("study", "question", "state", "trials", "done", "failed")


def _is_study(folder: Path) -> bool:
    try:
        return not folder.is_symlink() and (folder / PLAN).is_file() and (folder / TRIALS).is_dir()
    except PermissionError:  # nobody here may look into it
        return False


def shown(folder: Path) -> dict[str, Any] | None:
    """A study as the page shows it; None for one whose plan cannot be read."""
    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        concepts = [str(concept["name"]) for concept in plan["concepts"]]
        arms = [str(arm["name"]) for arm in plan["arms"]]
        seeds, trials = [int(seed) for seed in plan["seeds"]], [str(trial) for trial in plan["trials"]]
        question = str(plan["question"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    done = {path.stem for path in (folder / TRIALS).glob("*.json")}.intersection(trials)
    # The log keeps what failed before and then came to be done; the next run of the study tries the others again.
    failed = {line.partition(": ")[0] for line in follow.whole_lines(folder / ERRORS)}.intersection(trials) - done
    cells = [
        {
            "concept": concept,
            "arm": arm,
            "seed": seed,
            "state": "done" if trial in done else "failed" if trial in failed else "waiting",
        }
        for trial, (seed, concept, arm) in zip(trials, itertools.product(seeds, concepts, arms), strict=False)
    ]
    running = files.is_locked(folder)
    return {
        "study": folder.name,
        "question": question,
        "state": "running" if running else "done" if len(done) == len(trials) else "stopped",
        "trials": len(trials),
        "done": len(done),
        "failed": len(failed),
        "concepts": concepts,
        "arms": arms,
        "cells": cells,
        "report_url": f"/api/studies/{quote(folder.name)}/files/{REPORT}" if (folder / REPORT).is_file() else None,
    }
