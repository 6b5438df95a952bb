"""Runs, as their folders tell them: listed, followed, stopped, gone on with, thrown away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from photowords import files, follow, jobs
from photowords.web import answers, asked, forms, photos
from photowords.web.answers import Refused, Streams, missing
from photowords.web.config import Config
from photowords.web.queue import Queue
from photowords.web.runs import Runs
from photowords.web.shown import Shown


class Following:
    """What is asked of runs."""

    def __init__(self, config: Config, runs: Runs, queue: Queue, streams: Streams) -> None:
        self._config, self._runs, self._queue, self._streams = config, runs, queue, streams

    def routes(self) -> list[Route]:
        one = "/api/runs/{run}"
        return [
            Route("/api/runs", self.every),
            Route("/api/events", self.follow_every),
            Route(one, self.one),
            Route(one + "/events", self.follow_one),
            Route(one + "/files/{path:path}", self.file),
            Route(one + "/small.png", self.small),
            Route(one + "/stop", self.stop, methods=["POST"]),
            Route(one + "/resume", self.resume, methods=["POST"]),
            Route(one + "/delete", self.delete, methods=["POST"]),
        ]

    def _found(self, request: Request) -> Path:
        return self._runs.find(request.path_params["run"])

    def _listed(self) -> dict[str, Any]:
        return {"runs": self._runs.rows(self._queue.places())}

    def _whole(self, folder: Path) -> Response:
        return JSONResponse(self._runs.whole(folder.name, self._queue.places()))

    def every(self, request: Request) -> Response:
        return JSONResponse(self._listed())

    def follow_every(self, request: Request) -> Response:
        return self._streams.stream("runs", self._runs.signature, self._listed)

    def one(self, request: Request) -> Response:
        return self._whole(self._found(request))

    def follow_one(self, request: Request) -> Response:
        folder = self._found(request)

        def look() -> object:
            place = self._queue.places().get(folder.name) if (folder / follow.QUEUED).exists() else None
            return follow.signature(folder), place

        def tell() -> dict[str, Any] | None:
            try:
                return self._runs.whole(folder.name, self._queue.places())
            except Refused:  # it was deleted
                return None

        return self._streams.stream("run", look, tell)

    def file(self, request: Request) -> Response:
        return answers.file(self._runs.file(request.path_params["run"], request.path_params["path"]))

    def small(self, request: Request) -> Response:
        """The first photo of a run, small."""
        folder = self._found(request)
        if not (found := Shown(folder).photos()):
            raise missing("photo")
        photo = self._runs.file(folder.name, found[0])
        return answers.file(photos.small(self._config, photo))

    def stop(self, request: Request) -> Response:
        folder = self._found(request)
        if follow.state(folder) in follow.ENDED:
            raise Refused("that run does not learn, so there is nothing to stop", 409)
        self._queue.stop(folder)
        return self._whole(folder)

    async def resume(self, request: Request) -> Response:
        """Go on, to so many steps in all where they are told."""
        folder = self._found(request)
        told = await answers.told(request)
        state, reached = follow.state(folder), follow.status(folder).step or 0
        if state not in follow.ENDED:
            raise Refused("that run is at work already, or waits for its turn", 409)
        steps = told.get("steps")
        if steps is not None and jobs.is_waiting(folder):
            raise Refused("that run has not begun, so it goes for the steps that it was asked for", field="steps")
        if steps is not None:
            steps = asked.whole(steps, "steps", reached + 1, forms.MOST["steps"])
        elif state == "done":
            raise Refused("that run is done; say to how many steps it should go on", field="steps")
        follow.enqueue(folder, steps)
        return self._whole(folder)

    def delete(self, request: Request) -> Response:
        """Into the trash folder among the runs; nothing is destroyed."""
        folder = self._found(request)
        if files.is_locked(folder):
            raise Refused("that run is at work; stop it first", 409)
        self._queue.stop(folder)
        self._runs.throw_away(folder)
        return JSONResponse({"run": folder.name})
