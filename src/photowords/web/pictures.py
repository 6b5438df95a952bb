"""Pictures that the page asked for. Each asking leaves a folder: in its first run's, or beside the photos.

request.json            what was asked for
0.png ...               a picture for each seed, as soon as it is drawn
result.json, error.txt  how it ended
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from photowords import files, follow
from photowords.errors import UserError
from photowords.web.answers import missing, said
from photowords.web.asked import Prompt
from photowords.web.config import Config
from photowords.web.runs import Runs
from photowords.web.worker import Worker

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}", re.ASCII)
REQUEST = "request.json"
CUT = "the server was stopped before these were drawn; ask for them again"


class Pictures:
    """All pictures that were asked for; the worker draws them one asking after the other."""

    def __init__(self, config: Config, runs: Runs, worker: Worker) -> None:
        self._config, self._runs, self._worker = config, runs, worker
        self._drawing: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self, prompt: Prompt, pieces: list[Any], seeds: list[int], photo: Path | None, mask: Path | None, **told: Any
    ) -> str:
        """Have a picture drawn for each seed; the id of this asking. The photo, and the mask of the object in it, say
        which model draws a prompt without a concept."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        folders = [*prompt.concepts.values()]
        folder = (folders[0] / "pictures" if folders else self._config.pictures) / name
        files.make_folder(folder)
        about = {
            "id": name,
            "prompt": prompt.readable,
            "pieces": pieces,
            "typed": prompt.typed,
            "concepts": {called: run.name for called, run in prompt.concepts.items()},
            "seeds": seeds,
            "when": time.time(),
            **told,
        }
        files.write_json(folder / REQUEST, about)
        asked = {
            "prompt": prompt.typed,
            "concepts": [[called, str(run)] for called, run in prompt.concepts.items()],
            "photo": photo and str(photo),
            "mask": mask and str(mask),
            "seeds": seeds,
            "settings": {**told["settings"], "negative": told["negative"]},
            "out": str(folder),
        }
        self._drawing[name] = False
        task = asyncio.create_task(self._draw(name, folder, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return name

    async def _draw(self, name: str, folder: Path, asked: Mapping[str, Any]) -> None:
        def told(event: Any) -> None:
            self._drawing[name] = True

        with suppress(UserError):  # a full disk, or a run that was deleted: it says that it was cut
            try:
                files.write_json(folder / follow.RESULT, await self._worker.ask("pictures", told, **asked))
            except (UserError, OSError) as error:  # the latter where no process can be started
                follow.fail(folder, follow.sentence(error))
            finally:
                self._drawing.pop(name, None)

    def find(self, name: str) -> Path:
        """The folder of an asking. Raises Refused where there is none."""
        if ID.fullmatch(name):
            places = [self._config.pictures, *(folder / "pictures" for folder in self._runs.folders())]
            for place in places:
                if (place / name / REQUEST).is_file() and not place.is_symlink() and not (place / name).is_symlink():
                    return place / name
        raise missing("picture")

    def _command(self, told: Mapping[str, Any]) -> str:
        """What draws the same on the command line."""
        concepts = [f"{called}={self._config.runs / run}" for called, run in told.get("concepts", {}).items()]
        words = [told["typed"], *(["--concept", *concepts] if concepts else [])]
        words += (
            [] if concepts or self._config.model == "auto" else ["--model", self._config.model]
        )  # a run says its own
        for name in ("device", "dtype"):
            if (told_to := getattr(self._config, name)) != "auto":
                words += [f"--{name}", told_to]
        words += ["--seeds", ",".join(map(str, told["seeds"])), "--out", "pictures"]
        asked = {**told.get("settings", {}), "negative": told.get("negative")}
        for name, value in asked.items():
            words += [f"--{name.replace('_', '-')}", str(value)] if value not in (None, "") else []
        return f"photowords generate {shlex.join(words)}"

    def shown(self, folder: Path) -> dict[str, Any] | None:
        """An asking as the page shows it; None where it is gone."""
        try:
            told: dict[str, Any] = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        name, result, error = folder.name, dict[str, Any](), follow.error(folder)
        with suppress(OSError, ValueError):
            result = json.loads((folder / follow.RESULT).read_text(encoding="utf-8"))
        if result or error:
            state = "done" if result else "failed"
        elif name in self._drawing:
            state = "drawing" if self._drawing[name] else "queued"
        else:
            state, error = "failed", CUT
        drawn = [seed for seed in told["seeds"] if (folder / f"{seed}.png").is_file()]
        return {
            **told,
            "command": self._command(told),
            "state": state,
            "pictures": [{"url": f"/api/pictures/{name}/{seed}.png", "seed": seed} for seed in drawn],
            "model": result.get("model"),
            "warnings": [said(sentence) for sentence in result.get("warnings", [])],
            "seconds": result.get("seconds"),
            "error": error and said(error),
        }
