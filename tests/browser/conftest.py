"""A real browser and a real server: Debian's chromium, and ``photowords web`` on a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

import photowords

PATIENCE = 60_000  # milliseconds: the tests' machine may be busy, and the first answer loads torch
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1600, "height": 1000}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the path; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as containers do; the page that is opened is ours.
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def start(runs: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the server on a folder. Returns its process and the address that it prints, token and all."""
    command = [sys.executable, "-m", "photowords", "web", "--runs", str(runs), "--port", "0"]
    package = Path(photowords.__file__).parents[1]  # the server is of the same tree as the tests
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(package)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert server.stdout is not None
    lines: Queue[str] = Queue()
    Thread(target=lambda: [lines.put(line) for line in server.stdout or ()], daemon=True).start()
    said = ""
    while server.poll() is None:
        try:
            said += lines.get(timeout=PATIENCE / 1000)
        except Empty:
            break
        if found := re.search(r"http://\S+", said):
            return server, found[0]
    server.kill()
    raise AssertionError(f"photowords web did not say where its page is: {said}")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def address(runs: Path) -> Iterator[str]:
    server, url = start(runs)
    yield url
    server.terminate()
    server.wait(30)


class Watched:
    """What a page must not do: say errors in the console, or ask anybody but its own server."""

    def __init__(self, page: Page, address: str) -> None:
        self.wrong: list[str] = []
        self._home = address.split("?")[0]
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.text} {message.location.get('url', '')}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._home, f"blob:{self._home}")):
            self.wrong.append(f"asked {request.url}")


def open_page(browser: Browser, address: str, viewport: dict[str, int], scheme: Any) -> Iterator[Page]:
    """The page in a browser of its own, watched; what went wrong is said when it is closed."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme, accept_downloads=True)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    watched = Watched(page, address)
    page.goto(address)
    yield page
    context.close()
    assert watched.wrong == []


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    yield from open_page(browser, address, WIDE, "light")


@pytest.fixture
def loose(browser: Browser, address: str) -> Iterator[Page]:
    """A page whose console may say errors, as browsers do of answers that refuse."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    yield page
    context.close()
