"""From a photo to a run that waits for its turn: photos, masks, sentences, jobs."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from photowords import files, follow, jobs, pocket
from photowords.jobs import SAMPLES_AT, Job
from photowords.settings import InvertSettings
from photowords.web import answers, asked, forms, photos
from photowords.web.answers import Refused, missing
from photowords.web.config import Config
from photowords.web.runs import Runs
from photowords.web.worker import Worker

UPLOADS = 4  # bodies of photos in memory at once


class Making:
    """What is asked before a run begins."""

    def __init__(self, config: Config, runs: Runs, worker: Worker) -> None:
        self._config, self._runs, self._worker = config, runs, worker
        self._uploads = asyncio.Semaphore(UPLOADS)
        self._reading = asyncio.Lock()
        self._preparing: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/api/photos", self.upload, methods=["POST"]),
            Route("/api/photos/{name}.png", self.photo),
            Route("/api/bank/{name}.png", self.bank_photo),
            Route("/api/bank/{name}", self.take_from_bank, methods=["POST"]),
            Route("/api/runs/{run}/photo", self.take_from_run, methods=["POST"]),
            Route("/api/mask", self.mask, methods=["POST"]),
            Route("/api/sentence", self.sentence, methods=["POST"]),
            Route("/api/runs", self.begin, methods=["POST"]),
        ]

    async def upload(self, request: Request) -> Response:
        async with self._uploads:
            data = await answers.body(request, forms.LIMITS["bytes"])
            return self._kept(await asyncio.to_thread(photos.keep, self._config, data))

    async def take_from_bank(self, request: Request) -> Response:
        return self._kept(await asyncio.to_thread(photos.keep_bank, self._config, request.path_params["name"]))

    async def take_from_run(self, request: Request) -> Response:
        folder = self._runs.find(request.path_params["run"])
        return self._kept(await asyncio.to_thread(photos.keep_of_run, self._config, folder))

    def _kept(self, told: Mapping[str, Any]) -> Response:
        """The answer to a photo that came; meanwhile all is made ready for the first click on it."""
        path = photos.find(self._config, told["photo"])
        task = asyncio.create_task(self._prepare(path))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return JSONResponse(told, 201)

    async def _prepare(self, photo: Path) -> None:
        try:
            await self._worker.ask("prepare", photo=str(photo))
        except Exception:  # the first click will say it
            return

    def photo(self, request: Request) -> Response:
        """A photo, or the mask of clicks on it."""
        name = request.path_params["name"]
        if photos.MASK.fullmatch(name):
            return answers.file(self._config.photos / f"{name}.png", unchanging=True)
        return answers.file(photos.find(self._config, name), unchanging=True)

    def bank_photo(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in pocket.concepts():
            raise missing("photo in the bank")
        return answers.file(pocket.view(name))

    async def mask(self, request: Request) -> Response:
        told = await answers.told(request)
        photo = photos.find(self._config, told.get("photo"))
        mask = await photos.mask(self._config, self._worker, photo, asked.clicks(told))
        if mask is None:
            raise Refused("nothing points at the object; click on it, or draw a box around it", field="clicks")
        path, found = mask
        shown = {key: found[key] for key in ("share", "box", "seconds")}
        return JSONResponse({"url": f"/api/photos/{path.name}", **shown})

    async def sentence(self, request: Request) -> Response:
        told = await answers.told(request)
        photo = photos.find(self._config, told.get("photo"))
        kind, options = forms.start(told.get("start"))
        mask = await photos.mask(self._config, self._worker, photo, asked.clicks(told))
        seen: dict[str, Any] = {"photo": str(photo), "mask": mask and str(mask[0])}
        async with self._reading:  # one at a time: whoever clicked on meanwhile does not wait for this one any more
            if await request.is_disconnected():
                raise Refused("nobody waits for this sentence any more", 499)
            return JSONResponse(await self._worker.ask("sentence", **seen, kind=kind, options=options))

    async def begin(self, request: Request) -> Response:
        """A job in a folder of its own, which waits for its turn."""
        told = await answers.told(request)
        parts = []
        for one in asked.listed(told.get("photos"), "photos", forms.LIMITS["photos"]):
            if not isinstance(one, Mapping):
                raise Refused("a photo is {photo, clicks, box}", field="photos")
            parts.append((photos.find(self._config, one.get("photo")), asked.clicks(one)))
        if not parts:
            raise Refused("there is no photo; give one", field="photos")
        settings = forms.given(InvertSettings, told.get("settings") or {})
        selected = any(clicks is not None for _, clicks in parts)
        if settings.get("background_weight") is not None and not selected:
            raise Refused("that is for an object that is selected; click on it", field="background_weight")
        samples_at = told.get("samples_at", SAMPLES_AT[0])
        if samples_at not in SAMPLES_AT:
            raise Refused(f"samples_at must be one of {', '.join(SAMPLES_AT)}", field="samples_at")
        masks = [await photos.mask(self._config, self._worker, photo, clicks) for photo, clicks in parts]
        if self._config.model == "auto":  # now, not when its turn comes
            seen = [
                {"photo": str(photo), "mask": mask and str(mask[0])}
                for (photo, _), mask in zip(parts, masks, strict=True)
            ]
            await self._worker.ask("suits", photos=seen)
        job = Job(
            asked.name(told.get("name") or "concept"),
            asked.words(told.get("words")),
            settings,
            asked.whole(told.get("samples", forms.LIMITS["samples"]), "samples", 0, forms.LIMITS["samples"]),
            samples_at,
            tuple(mask and mask[1]["selection"] for mask in masks),
            self._config.model,
            self._config.device,
            self._config.dtype,
            time.time(),
        )
        paths = [(photo, mask and mask[0]) for (photo, _), mask in zip(parts, masks, strict=True)]
        folder = await asyncio.to_thread(self._lay_down, job, paths)
        return JSONResponse({"run": folder.name}, 201)

    def _lay_down(self, job: Job, paths: list[tuple[Path, Path | None]]) -> Path:
        folder = self._runs.new(job.name)
        try:
            files.make_folder(folder / jobs.FOLDER)
            for number, (photo, mask) in enumerate(paths):
                files.write_bytes(jobs.photo(folder, number), photo.read_bytes())
                if mask is not None:
                    files.write_bytes(jobs.mask(folder, number), mask.read_bytes())
            job.write(folder)
            follow.enqueue(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder
