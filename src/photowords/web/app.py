"""The addresses of the page and what answers at each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from photowords import __version__, follow, pocket
from photowords.errors import UserError
from photowords.settings import EXPORTS
from photowords.web import answers, forms, photos
from photowords.web.answers import Refused, Streams, missing
from photowords.web.config import Config, prepare
from photowords.web.guard import Guard
from photowords.web.runs import Runs

STATIC = Path(__file__).parent / "static"
STATIC_TYPES = (".html", ".js", ".css", ".svg", ".png", ".woff2", ".ico")
UPLOADS = 4  # bodies of photos in memory at once
log = logging.getLogger("photowords.web")


class Page:
    """All addresses."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.runs = Runs(config)
        self.streams = Streams()
        self.uploads = asyncio.Semaphore(UPLOADS)

    def routes(self) -> list[Route]:
        one = "/api/runs/{run}"
        return [
            Route("/", self.index),
            Route("/static/{name}", self.static),
            Route("/api/about", self.about),
            Route("/api/photos", self.upload, methods=["POST"]),
            Route("/api/photos/{name}.png", self.photo),
            Route("/api/bank/{name}.png", self.bank_photo),
            Route("/api/bank/{name}", self.take_from_bank, methods=["POST"]),
            Route("/api/runs", self.list_runs),
            Route("/api/events", self.follow_runs),
            Route(one, self.run),
            Route(one + "/events", self.follow_run),
            Route(one + "/files/{path:path}", self.run_file),
        ]

    def index(self, request: Request) -> Response:
        return answers.file(STATIC / "index.html")

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if Path(name).suffix not in STATIC_TYPES or name.startswith("."):
            raise missing("file")
        return answers.file(STATIC / name)

    def about(self, request: Request) -> Response:
        told = {
            "version": __version__,
            "model": self.config.model,
            "device": self.config.device,
            "fields": forms.forms(),
            "starts": forms.kinds(),
            "bank": photos.bank(),
            "tools": [{"name": name, "title": title} for name, title in EXPORTS.items()],
            "scenes": list(pocket.SCENES),
            "limits": forms.LIMITS,
            "runs": str(self.config.runs),
        }
        return JSONResponse(told)

    async def upload(self, request: Request) -> Response:
        async with self.uploads:
            data = await answers.body(request, forms.LIMITS["bytes"])
            return JSONResponse(await asyncio.to_thread(photos.keep, self.config, data), 201)

    def take_from_bank(self, request: Request) -> Response:
        return JSONResponse(photos.keep_bank(self.config, request.path_params["name"]), 201)

    def photo(self, request: Request) -> Response:
        """A photo, or the mask of clicks on it."""
        name = request.path_params["name"]
        if photos.MASK.fullmatch(name):
            return answers.file(self.config.photos / f"{name}.png", unchanging=True)
        return answers.file(photos.find(self.config, name), unchanging=True)

    def bank_photo(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in pocket.concepts():
            raise missing("photo in the bank")
        return answers.file(pocket.view(name))

    def list_runs(self, request: Request) -> Response:
        return JSONResponse(self._listed())

    def _listed(self) -> dict[str, Any]:
        return {"runs": self.runs.rows(self._places()), "studies": []}

    def _places(self) -> dict[str, int]:
        """Whose turn to learn comes when."""
        return {}

    def follow_runs(self, request: Request) -> Response:
        return self.streams.stream("runs", self.runs.signature, self._listed)

    def run(self, request: Request) -> Response:
        return JSONResponse(self.runs.whole(request.path_params["run"], self._places()))

    def follow_run(self, request: Request) -> Response:
        folder = self.runs.find(request.path_params["run"])

        def tell() -> dict[str, Any] | None:
            try:
                return self.runs.whole(folder.name, self._places())
            except Refused:  # it was deleted
                return None

        return self.streams.stream("run", lambda: (follow.signature(folder), self._places()), tell)

    def run_file(self, request: Request) -> Response:
        return answers.file(self.runs.file(request.path_params["run"], request.path_params["path"]))


def create(config: Config) -> ASGIApp:
    """The whole application."""
    prepare(config)
    photos.forget_old(config)
    page = Page(config)

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        yield

    handlers: Any = {UserError: _refuse, HTTPException: _http, Exception: _fail}
    return Guard(Starlette(routes=page.routes(), exception_handlers=handlers, lifespan=living), config)


async def _refuse(request: Request, error: UserError) -> Response:
    return answers.refusal(error)


async def _http(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": "there is nothing at this address", "field": None}, error.status_code)


async def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "that went wrong here; the terminal of the server says more", "field": None}, 500)
