"""What is done with a run: pictures, the word report, files for other tools, the folder as a whole."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from photowords import files, follow
from photowords.settings import EXPORTS, GenerateSettings
from photowords.web import answers, asked, forms, photos
from photowords.web.answers import Refused
from photowords.web.config import Config
from photowords.web.pictures import Pictures
from photowords.web.runs import Runs
from photowords.web.worker import Worker

ZIPS = 2  # made at once


class Using:
    """What is asked of what was learned."""

    def __init__(self, config: Config, runs: Runs, worker: Worker) -> None:
        self._config, self._runs, self._worker = config, runs, worker
        self._pictures = Pictures(config, runs, worker)
        self._zips = asyncio.Semaphore(ZIPS)

    def routes(self) -> list[Route]:
        one = "/api/runs/{run}"
        return [
            Route("/api/pictures", self.draw, methods=["POST"]),
            Route("/api/pictures/{id}", self.drawn),
            Route("/api/pictures/{id}/{seed:int}.png", self.picture),
            Route("/api/runs/{run}.zip", self.zip),
            Route(one + "/words", self.words),
            Route(one + "/export", self.export),
            Route(one + "/tools", self.tools),
        ]

    async def draw(self, request: Request) -> Response:
        told = await answers.told(request)
        pieces = told.get("prompt")
        prompt = await asyncio.to_thread(asked.prompt, pieces, self._runs)
        negative = asked.text(told.get("negative") or "", "negative", forms.LIMITS["prompt"])
        if "{" in negative or "}" in negative:
            raise Refused("what should not be in the picture has no braces", field="negative")
        settings = forms.given(GenerateSettings, told.get("settings") or {})
        seeds = asked.seeds(told.get("seeds", [0]))
        photo = photos.find(self._config, told["photo"]) if told.get("photo") else None
        mask = photo and await photos.mask(self._config, self._worker, photo, asked.clicks(told))
        seen = photo, mask and mask[0]
        name = self._pictures.ask(prompt, pieces or [], seeds, *seen, negative=negative, settings=settings)
        return JSONResponse({"pictures": name}, 202)

    def drawn(self, request: Request) -> Response:
        return JSONResponse(self._pictures.shown(self._pictures.find(request.path_params["id"])))

    def picture(self, request: Request) -> Response:
        folder = self._pictures.find(request.path_params["id"])
        return answers.file(folder / f"{request.path_params['seed']}.png", unchanging=True)

    async def words(self, request: Request) -> Response:
        """The word report, made again when the run has learned more."""
        folder = self._usable(request)
        step = follow.status(folder).step
        with suppress(OSError, ValueError):
            kept: dict[str, Any] = json.loads((folder / follow.WORDS).read_text(encoding="utf-8"))
            if isinstance(kept, dict) and kept.get("step") == step:
                return JSONResponse(kept)
        report = await self._worker.ask("words", run=str(folder))
        files.write_json(folder / follow.WORDS, report)
        return JSONResponse(report)

    def _usable(self, request: Request) -> Path:
        folder = self._runs.find(request.path_params["run"])
        if not (folder / follow.CONCEPT).is_file():
            raise Refused("that run has not learned anything yet", 409)
        return folder

    async def tools(self, request: Request) -> Response:
        """Why some tools cannot take a concept."""
        found = await self._worker.ask("tools", run=str(self._usable(request)))
        return JSONResponse({name: answers.said(why) for name, why in found["refused"].items()})

    async def export(self, request: Request) -> Response:
        """A concept as another tool's file."""
        folder, tool = self._usable(request), request.query_params.get("tool", "")
        if tool not in EXPORTS:
            raise Refused(f"the tools are {', '.join(EXPORTS)}", field="tool")
        out = self._config.passing / secrets.token_hex(8)
        files.make_folder(out)
        try:
            made = await self._worker.ask("export", run=str(folder), out=str(out), tool=tool)
            return await asyncio.to_thread(_download, made, out)
        finally:
            shutil.rmtree(out, ignore_errors=True)

    async def zip(self, request: Request) -> Response:
        """A run's folder as it is."""
        folder = self._runs.find(request.path_params["run"])
        path = self._config.passing / f"{secrets.token_hex(8)}.zip"
        try:
            async with self._zips:
                await asyncio.to_thread(_zip, folder, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        remove = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, filename=f"{folder.name}.zip", media_type="application/zip", background=remove)


def _download(made: Mapping[str, Any], out: Path) -> Response:
    """The file that was written."""
    name = made["file"]
    use = "\n".join([*made["steps"], f"prompt: {made['prompt']}"])
    headers = {
        "content-disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(name)}",
        "x-photowords-use": quote(use),
    }
    return Response((out / name).read_bytes(), media_type="application/octet-stream", headers=headers)


def _zip(folder: Path, path: Path) -> None:
    """All of a folder's files but hidden ones and links."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
        for found in sorted(folder.rglob("*")):
            within = found.relative_to(folder)
            hidden = any(part.startswith(".") for part in within.parts)
            linked = any((folder / parent).is_symlink() for parent in (within, *within.parents) if parent != Path())
            if found.is_file() and not hidden and not linked:
                archive.write(found, f"{folder.name}/{within}")
