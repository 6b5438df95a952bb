"""Asks the process that has the models (``work``): started when it is first needed, and again after it ended."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from photowords.errors import UserError
from photowords.web.answers import Refused
from photowords.web.config import Config

LINE_BYTES = 4_000_000
MOST_WAITING = 64
ENDED = "the process that has the model ended, perhaps for want of memory; ask again"


class Worker:
    """One process, shared by all pages."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[asyncio.Future[Any], Callable[[Any], None] | None]] = {}

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def ask(self, do: str, told: Callable[[Any], None] | None = None, **needed: Any) -> dict[str, Any]:
        """The answer to a question, ``seconds`` with it; ``told`` gets what is told on the way.

        Raises UserError with the answer's own sentence, and Refused when too much is waiting or the process ended.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Refused("too much is being asked at once; wait a little", 503)
        began = time.monotonic()
        process = await self._alive()
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer, told
        try:
            assert process.stdin is not None
            with suppress(ConnectionError):  # its end is seen by the reader
                process.stdin.write((json.dumps({"id": number, "do": do, **needed}) + "\n").encode())
                await process.stdin.drain()
            found: dict[str, Any] = await answer
        finally:
            self._waiting.pop(number, None)
        return {**found, "seconds": round(time.monotonic() - began, 3)}

    async def _alive(self) -> Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None or self._reader is None:
                await self._start()
            assert self._process is not None
            return self._process

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "photowords.web.work", stdin=PIPE, stdout=PIPE, limit=LINE_BYTES
        )
        config = self._config
        about = {
            "model": config.model,
            "device": config.device,
            "dtype": config.dtype,
            "segmenter": config.segmenter,
        }
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(about) + "\n").encode())
        self._reader = asyncio.create_task(self._read(self._process))

    async def _read(self, process: Process) -> None:
        """Hand on what a process answers, until it ends."""
        assert process.stdout is not None
        with suppress(ValueError):  # a line that is too long, or no JSON: it cannot be trusted any more
            async for line in process.stdout:
                told = json.loads(line)
                answer, events = self._waiting.get(told["id"], (None, None))
                if answer is None or answer.done():
                    continue
                if "event" in told:
                    if events is not None:
                        events(told["event"])
                elif "done" in told:
                    answer.set_result(told["done"])
                else:
                    answer.set_exception(UserError(told["error"]))
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._reader = None
        for answer, _ in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(Refused(ENDED, 503))

    async def rest(self) -> None:
        """Let the process, where there is one, make room for a run that learns."""
        if self.pid is not None:
            with suppress(UserError):
                await self.ask("rest")

    async def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
