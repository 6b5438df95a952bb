"""What is killed, crowded or left half-done: the page goes on, no run is lost, and none is stuck."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from photowords import follow
from photowords.cli import main
from photowords.web import config, serve
from tests.web.browser import Server
from tests.web.test_page import CLICK, WORDS, ended


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server that may be killed."""
    server = Server(tmp_path / "runs").start()
    yield server
    for folder in [path for path in server.runs.iterdir() if not path.name.startswith(".")]:
        follow.stop(folder)
    if server.process.poll() is None:
        server.end()


def begin(server: Server, steps: int, **settings: Any) -> str:
    photo = server.asked("/api/bank/mug")["photo"]
    told = {"steps": steps, "held_out": 8, "evaluate_every": 10, **settings}
    job = {"photos": [{"photo": photo}], "words": WORDS, "name": "mug", "settings": told, "samples": 0}
    return str(server.asked("/api/runs", job)["run"])


def test_a_run_outlives_the_server_and_the_queue_goes_on(own: Server) -> None:
    first, second = begin(own, 60), begin(own, 2)
    own.until(f"/api/runs/{first}", lambda told: (told["step"] or 0) >= 2)
    waiting = own.found(f"/api/runs/{second}")
    assert (waiting["state"], waiting["queue"]) == ("queued", 1)
    (worker,) = [child for child in _descendants(own.process.pid) if "invert" not in _command(child)]
    own.end(kill=True)
    step = follow.status(own.runs / first).step or 0
    until = time.monotonic() + 60
    while (follow.status(own.runs / first).step or 0) <= step:
        assert time.monotonic() < until and follow.state(own.runs / first) == "learning"
        time.sleep(0.1)
    assert _command(worker) == [""], "who has the models for the page goes with the server"
    cookie = own.cookie
    own.start()  # on the same port, and an open page's cookie still opens it
    assert own.ask("GET", "/api/runs", cookie=cookie).status == 200
    assert own.found(f"/api/runs/{first}")["state"] in ("learning", "done")
    assert own.until(f"/api/runs/{first}", ended)["state"] == "done"
    assert own.until(f"/api/runs/{second}", ended)["state"] == "done"
    assert [row["step"] for row in own.found(f"/api/runs/{first}")["losses"]] == [*range(61)]


def test_a_trainer_that_is_killed_is_interrupted_and_goes_on(own: Server) -> None:
    run = begin(own, 5000)
    own.until(f"/api/runs/{run}", lambda told: (told["step"] or 0) >= 11)
    for process in _descendants(own.process.pid):
        if "invert" in _command(process):
            os.kill(process, signal.SIGKILL)
    told = own.until(f"/api/runs/{run}", ended)
    assert told["state"] == "interrupted" and told["can"]["resume"]
    own.asked(f"/api/runs/{run}/resume", {"steps": told["step"] + 2})
    done = own.until(f"/api/runs/{run}", lambda told: told["state"] not in ("queued", "learning", "starting"))
    assert done["state"] == "done" and done["step"] == told["step"] + 2


def _command(process: int) -> list[str]:
    """What a process was started with; nothing of one that ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return [""]


def _descendants(process: int) -> list[int]:
    threads = list(Path(f"/proc/{process}/task").glob("*/children"))
    if not threads:
        pytest.skip("this system does not say which processes a process has started")
    return [int(child) for children in threads for child in children.read_text().split()]


def test_what_waits_can_be_taken_out_of_the_queue(own: Server) -> None:
    first, second = begin(own, 5000), begin(own, 2)
    assert own.asked(f"/api/runs/{second}/stop", {})["state"] == "stopped"
    assert own.asked(f"/api/runs/{second}/resume", {})["state"] == "queued"
    own.asked(f"/api/runs/{first}/stop", {})  # it may not even have begun
    assert own.until(f"/api/runs/{first}", ended)["state"] == "stopped"
    assert own.until(f"/api/runs/{second}", ended)["state"] == "done"


def test_the_worker_is_started_again(own: Server) -> None:
    photo = own.asked("/api/bank/mug")["photo"]
    for _ in range(2):
        assert own.asked("/api/mask", {"photo": photo, **CLICK})["share"] > 0.2
        (worker,) = _descendants(own.process.pid)
        os.kill(worker, signal.SIGKILL)
        until = time.monotonic() + 10
        while _descendants(own.process.pid):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_the_server_never_loads_torch(server: Server, photo: str) -> None:
    server.asked("/api/mask", {"photo": photo, **CLICK})
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("this system does not say what a process has loaded")
    assert "libtorch" not in maps.read_text()


def test_500_requests_at_once_are_answered(server: Server) -> None:
    paths = ["/api/about", "/api/runs", "/", "/api/bank/mug.png", "/nothing"]
    with ThreadPoolExecutor(100) as crowd:
        found = list(crowd.map(lambda number: server.get(paths[number % 5]).status, range(500)))
    assert sorted(set(found)) == [200, 404] and found.count(404) == 100


def test_half_open_connections_keep_nobody_out(server: Server) -> None:
    halves = []
    for number in range(400):
        half = socket.create_connection(("127.0.0.1", server.port), 30)
        half.sendall(
            (b"", b"GET / HTTP/1.1\r\nHost: a", b"POST /api/photos HTTP/1.1\r\nHost: 127.0.0.1\r\n")[number % 3]
        )
        halves.append(half)
    began = time.monotonic()
    assert server.get("/api/about").status == 200 and time.monotonic() - began < 10
    halves[0].settimeout(serve.HEADER_SECONDS + 20)
    with suppress(ConnectionResetError):
        assert halves[0].recv(1000) == b"", "who asks nothing is sent away"
    for half in halves:
        half.close()


def test_too_many_open_pages_are_told_so(server: Server) -> None:
    open_pages = [server.follow("/api/events", "runs") for _ in range(64)]
    for page in open_pages:
        next(page)
    assert server.get("/api/events").status == 503 and server.get("/api/about").status == 200
    for page in open_pages:
        page.close()  # type: ignore[attr-defined]
    server.until("/api/about", lambda _: server_streams(server))


def server_streams(server: Server) -> bool:
    """Whether a stream can be had again."""
    page = server.follow("/api/events", "runs")
    try:
        next(page)
    except AssertionError:
        return False
    finally:
        page.close()  # type: ignore[attr-defined]
    return True


def test_ctrl_c_ends_the_server_and_its_open_pages(tmp_path: Path) -> None:
    server = Server(tmp_path / "runs").start()
    page = server.follow("/api/events", "runs")
    assert next(page) == {"runs": []}
    server.asked("/api/mask", {"photo": server.asked("/api/bank/mug")["photo"], **CLICK})
    for process in (*_descendants(server.process.pid), server.process.pid):  # as a terminal does
        os.kill(process, signal.SIGINT)
    assert list(page) == []
    said, _ = server.process.communicate(timeout=30)
    assert server.process.returncode == 0 and said.strip() == "closed; what is learning goes on"


def test_other_machines_need_a_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["web", "--runs", str(tmp_path / "runs"), "--port", "0", "--host", "0.0.0.0"]
    monkeypatch.delenv(config.PASSWORD, raising=False)
    assert main(options) == 2 and "lets other machines in" in capsys.readouterr().err
    assert main([*options, "--password"]) == 2 and config.PASSWORD in capsys.readouterr().err
    monkeypatch.setenv(config.PASSWORD, "short")
    assert main([*options, "--password"]) == 2 and "at least 12" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_password_opens_the_page(tmp_path: Path) -> None:
    password = "correct horse battery"
    server = Server(
        tmp_path / "runs", ("--host", "0.0.0.0", "--password"), {config.PASSWORD: password, "PYTHONUNBUFFERED": "1"}
    ).start()
    try:
        form = {"Origin": server.origin, "Content_Type": "application/x-www-form-urlencoded"}
        assert b'type="password"' in server.ask("GET", "/", cookie="").body
        assert server.ask("GET", "/api/runs", cookie="").status == 403
        wrong = server.ask("POST", "/login", "password=wrong", cookie="", **form)
        assert wrong.status == 403 and "set-cookie" not in wrong.headers
        right = server.ask("POST", "/login", f"password={password.replace(' ', '+')}", cookie="", **form)
        assert right.status == 303
        cookie = right.headers["set-cookie"].partition(";")[0]
        assert server.ask("GET", "/api/runs", cookie=cookie).status == 200
        assert server.ask("GET", "/", cookie="", Host="evil.example").status == 421
        assert server.ask("GET", "/", cookie="", Host=f"192.168.1.7:{server.port}").status == 200
        foreign = server.ask("POST", "/login", f"password={password}", cookie="", **{**form, "Origin": "http://a.b"})
        assert foreign.status == 403
        server.end()
        server.environment[config.PASSWORD] = "another horse battery"
        server.start()
        assert server.ask("GET", "/api/runs", cookie=cookie).status == 403, "whoever had the old password is out"
    finally:
        server.end()


def test_a_port_that_is_taken_is_said(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "photowords", "web", "--runs", str(tmp_path), "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "give another --port" in done.stderr and "Traceback" not in done.stderr
