"""The server as a process, and what a page sends to it, good and bad."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECONDS = 120.0


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """``photowords web`` in a process of its own, on a free port."""

    runs: Path
    options: tuple[str, ...] = ("--model", "pocket")
    environment: dict[str, str] = field(default_factory=dict)
    process: Any = None
    port: int = 0
    token: str = ""
    cookie: str = ""

    def start(self) -> Server:
        command = [sys.executable, "-m", "photowords", "web", "--runs", str(self.runs), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *self.options], stdout=subprocess.PIPE, text=True, env={**os.environ, **self.environment}
        )
        while not (line := self.process.stdout.readline()).startswith("open "):
            assert line, "the server ended before it said where it listens"
        told = urlsplit(line.removeprefix("open ").strip())
        self.port, self.token = int(told.port or 0), told.query.removeprefix("token=")
        entered = self.ask("GET", f"/?token={self.token}", cookie="")
        assert entered.status == 303, entered
        self.cookie = entered.headers["set-cookie"].partition(";")[0]
        return self

    def end(self, kill: bool = False) -> None:
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        cookie: str | None = None,
        **headers: str | None,
    ) -> Answer:
        """A request as it is, with the page's cookie unless another is given; a header that is None is left out."""
        told: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}"}
        told["Cookie"] = self.cookie if cookie is None else cookie or None
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            data = body.encode() if isinstance(body, str) else body
            if data is not None and "Content_Length" not in headers:
                told["Content-Length"] = str(len(data))
            for name, value in told.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders()
            if data is not None:
                with suppress(BrokenPipeError, ConnectionResetError):  # the answer came before all was sent
                    connection.send(data)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, told: Any = None, **headers: str | None) -> Answer:
        body = json.dumps(told) if not isinstance(told, bytes) else told
        return self.ask("POST", path, body, **{"Origin": self.origin, "Content_Type": "application/json", **headers})

    def found(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status == 200, answer
        return answer.json

    def asked(self, path: str, told: Any = None) -> Any:
        answer = self.post(path, told)
        assert answer.status < 300, answer
        return answer.json

    def refused(self, path: str, told: Any, status: int = 400) -> str:
        """The one sentence that a request gets."""
        answer = self.post(path, told)
        assert answer.status == status, answer
        sentence = answer.json["error"]
        assert "\n" not in sentence and "Traceback" not in sentence
        return str(sentence)

    def follow(self, path: str, event: str) -> Iterator[Any]:
        """The data of a stream of events, one after the other."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie})
        answer = connection.getresponse()
        try:
            assert answer.status == 200 and answer.getheader("content-type", "").startswith("text/event-stream")
            name = ""
            while line := answer.readline().decode():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ").strip()
                elif line.startswith("data: ") and name == event:
                    yield json.loads(line.removeprefix("data: "))
        finally:
            answer.close()
            connection.close()

    def until(self, path: str, met: Callable[[Any], bool]) -> Any:
        """What an address says once it is as it should be."""
        end = time.monotonic() + SECONDS
        while not met(told := self.found(path)):
            assert time.monotonic() < end, str(told)[:1500]
            time.sleep(0.1)
        return told


def apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its result, from a thread of its own: a browser that other tests opened keeps a loop of events in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def harmless(answer: Answer) -> None:
    """What is said to a stranger says nothing of this machine."""
    said = answer.body.decode("utf-8", "replace")
    assert "Traceback" not in said and "/tmp" not in said and "site-packages" not in said and "root:" not in said
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff" and "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
