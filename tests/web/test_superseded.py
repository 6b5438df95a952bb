"""A sentence that nobody waits for any more is not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from photowords import pocket
from photowords.web import photos
from photowords.web.answers import Refused
from photowords.web.config import Config, prepare
from photowords.web.making import Making
from photowords.web.runs import Runs
from tests.web.browser import apart


class SlowWorker:
    """Reads a sentence once it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may = asyncio.Event()

    async def ask(self, do: str, **needed: Any) -> dict[str, Any]:
        self.asked.append(needed["options"]["words"])
        await self.may.wait()
        return {}


def request(told: Mapping[str, Any], gone: bool) -> Request:
    body = {"type": "http.request", "body": json.dumps(told).encode(), "more_body": False}
    waiting = [body, {"type": "http.disconnect"}] if gone else [body]

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await asyncio.sleep(3600)

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}, receive)


def test_of_sentences_that_wait_only_those_are_read_whose_asker_is_still_there(tmp_path: Path) -> None:
    config = Config(tmp_path, tmp_path)
    prepare(config)
    photo = photos.keep(config, pocket.view("mug").read_bytes())["photo"]

    async def three() -> list[Any]:
        worker = SlowWorker()
        making = Making(config, Runs(config), worker)  # type: ignore[arg-type]
        started = []
        for words, gone in (("first", False), ("second", True), ("third", False)):
            told = {"photo": photo, "start": {"kind": "words", "words": words}}
            started.append(asyncio.create_task(making.sentence(request(told, gone))))
            await asyncio.sleep(0.05)
        assert worker.asked == ["first"]
        worker.may.set()
        answers = await asyncio.gather(*started, return_exceptions=True)
        assert worker.asked == ["first", "third"]
        return answers

    first, second, third = apart(three())
    assert first.status_code == third.status_code == 200
    with pytest.raises(Refused, match="nobody waits"):
        raise second
