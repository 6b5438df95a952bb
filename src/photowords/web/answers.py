"""What every answer is made with: JSON in, JSON or a stream of events out, and one sentence for what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from photowords.errors import UserError, showable, spelled

JSON_BYTES = 200_000
LONGEST = 255  # bytes of a name, in most file systems
BODY_SECONDS = 30.0  # between two parts of a body
EVERY = 0.3  # seconds between two looks at what a stream of events tells
HEARTBEAT = 15.0
STREAMS = 64
UNCHANGING = {"cache-control": "private, max-age=31536000, immutable"}


class Refused(UserError):
    """A request that cannot be met, with its status and the field that is wrong."""

    def __init__(self, sentence: str, status: int = 400, field: str | None = None) -> None:
        super().__init__(sentence)
        self.status, self.field = status, field


def missing(what: str) -> Refused:
    """There is no such thing."""
    return Refused(f"there is no such {what}", 404)


def within(folder: Path, name: str, what: str) -> Path:
    """What has this name right in a folder, and is itself a folder. Raises Refused for another name, and for none."""
    if name.startswith(".") or re.search(r"[/\\\x00]", name) or len(os.fsencode(name)) > LONGEST:
        raise missing(what)
    found = folder / name
    if found.is_symlink() or not found.is_dir():
        raise missing(what)
    return found


def refusal(error: UserError) -> JSONResponse:
    """The answer to what cannot be met."""
    status, field = (error.status, error.field) if isinstance(error, Refused) else (400, None)
    if field is None and (named := re.search(r"`(\w+)`", str(error))):
        field = named[1]
    return JSONResponse({"error": said(str(error)), "field": field}, status)


SERVERS = ("model", "device", "dtype", "segmenter")
"""What whoever starts the server says, and the page cannot."""


def said(message: str) -> str:
    """A message of the library as the page tells it: one line, settings by their labels."""

    def called(name: str) -> str:
        return f"photowords web --{name}" if name in SERVERS else name.replace("_", " ")

    return " ".join(showable(spelled(message, called)).split())


async def body(request: Request, most: int) -> bytes:
    """The request's body. Raises Refused for one that is too long, or that does not come."""
    try:
        if int(request.headers.get("content-length", 0)) > most:
            raise Refused(f"that is more than the {most:,} bytes that are taken here", 413)
    except ValueError:
        raise Refused("the request's length is no number") from None
    parts, size, stream = [], 0, request.stream()
    try:
        while True:
            part = await asyncio.wait_for(anext(stream), BODY_SECONDS)
            size += len(part)
            if size > most:
                raise Refused(f"that is more than the {most:,} bytes that are taken here", 413)
            parts.append(part)
    except StopAsyncIteration:
        return b"".join(parts)
    except (TimeoutError, ClientDisconnect):
        raise Refused("the request did not come to its end", 408) from None


def _refuse(constant: str) -> None:
    """NaN and the infinities, which Python reads and JSON has not."""
    raise ValueError(f"{constant} is not JSON")


async def told(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("what is asked here is JSON", 415)
    try:
        found = json.loads(await body(request, JSON_BYTES), parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError):
        raise Refused("the request is not JSON") from None
    if not isinstance(found, dict):
        raise Refused("the request is not a JSON object")
    return found


def file(path: Path, unchanging: bool = False) -> Response:
    """A file of ours, that is no link to another."""
    if path.is_symlink() or not path.is_file():
        raise missing("file")
    return FileResponse(path, headers=UNCHANGING if unchanging else None)


class Streams:
    """Streams of events: each tells what it looks at, now and whenever it has changed."""

    def __init__(self) -> None:
        self._open = 0
        self._ended = False

    def end(self) -> None:
        """End all of them: the server is about to."""
        self._ended = True

    def stream(self, name: str, look: Callable[[], object], tell: Callable[[], Any | None]) -> Response:
        """``look`` is asked often and says cheaply what differs when something has changed; ``tell`` gives the data, or
        None when it is over. Raises Refused when there are too many streams."""
        if self._open >= STREAMS:
            raise Refused("too many pages are open at once; close some", 503)
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._events(name, look, tell), media_type="text/event-stream", headers=headers)

    async def _events(
        self, name: str, look: Callable[[], object], tell: Callable[[], Any | None]
    ) -> AsyncIterator[str]:
        self._open += 1
        try:
            before: object = None
            spoke = 0.0
            while not self._ended:
                now = await asyncio.to_thread(look)
                if now != before:
                    before, spoke = now, time.monotonic()
                    data = await asyncio.to_thread(tell)
                    if data is None:
                        yield "event: gone\ndata: null\n\n"
                        return
                    yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
                elif time.monotonic() - spoke > HEARTBEAT:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                await asyncio.sleep(EVERY)
        finally:
            self._open -= 1
