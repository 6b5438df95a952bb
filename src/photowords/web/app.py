"""The application: the page's own files, what it is told first, and every address behind the guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from photowords import __version__, pocket
from photowords.errors import UserError
from photowords.settings import EXPORTS
from photowords.web import answers, forms, photos
from photowords.web.answers import Streams, missing
from photowords.web.config import Config, prepare
from photowords.web.following import Following
from photowords.web.guard import Guard
from photowords.web.making import Making
from photowords.web.queue import Queue
from photowords.web.runs import Runs
from photowords.web.studies import Studies
from photowords.web.using import Using
from photowords.web.worker import Worker

STATIC = Path(__file__).parent / "static"
STATIC_TYPES = (".html", ".js", ".css", ".svg", ".png", ".woff2", ".ico")
log = logging.getLogger("photowords.web")


def create(config: Config, streams: Streams) -> ASGIApp:
    """The whole application; whoever runs it ends the streams. Raises UserError where its folders cannot be made."""
    prepare(config)
    photos.forget_old(config)
    runs, worker = Runs(config), Worker(config)
    queue = Queue(config, runs)

    def about(request: Request) -> Response:
        return JSONResponse(_about(config))

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(queue.work(worker.rest))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await worker.close()

    routes = [
        Route("/", _index),
        Route("/static/{name}", _static),
        Route("/api/about", about),
        *Making(config, runs, worker).routes(),
        *Using(config, runs, worker).routes(),
        *Following(config, runs, queue, streams).routes(),
        *Studies(config, streams).routes(),
    ]
    handlers: Any = {UserError: _refuse, HTTPException: _nothing_there, OSError: _no_room, Exception: _fail}
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=living), config)


def _about(config: Config) -> dict[str, Any]:
    """What the page is told first."""
    return {
        "version": __version__,
        "model": config.model,
        "device": config.device,
        "fields": forms.forms(),
        "starts": forms.kinds(),
        "bank": photos.bank(),
        "tools": [{"name": name, "title": title} for name, title in EXPORTS.items()],
        "scenes": list(pocket.SCENES),
        "limits": forms.LIMITS,
        "runs": str(config.runs),
    }


def _index(request: Request) -> Response:
    return answers.file(STATIC / "index.html")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if Path(name).suffix not in STATIC_TYPES or name.startswith("."):
        raise missing("file")
    return answers.file(STATIC / name)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return answers.refusal(error)


async def _nothing_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return JSONResponse({"error": "there is nothing at this address", "field": None}, status)


async def _no_room(request: Request, error: Exception) -> Response:
    """A full disk, a folder that may not be written; its name is none of the page's business."""
    log.error("%s", error)
    reason = getattr(error, "strerror", None) or "a file cannot be used"
    return JSONResponse({"error": f"{reason}; the terminal of the server says more", "field": None}, 500)


async def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "that went wrong here; the terminal of the server says more", "field": None}, 500)
