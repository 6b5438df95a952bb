"""One server for the tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browser import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("web") / "runs").start()
    yield server
    assert server.process.poll() is None, "the server ended during the tests"
    server.end()


@pytest.fixture(scope="session")
def photo(server: Server) -> str:
    """A photo of the bank that was taken."""
    return str(server.asked("/api/bank/mug")["photo"])


@pytest.fixture(scope="session")
def traps(server: Server) -> Iterator[None]:
    """A run that is a link to elsewhere, and one whose pictures are."""
    outside = server.runs.parent / "outside"
    (outside / "photos").mkdir(parents=True)
    for name in ("settings.json", "photos/0.png", "secret.png", "token"):
        (outside / name).write_text("never to be seen")
    (server.runs / "linked").symlink_to(outside)
    (server.runs / "editor").mkdir()  # somebody else's
    for name in ("settings.json", "job.json"):
        (server.runs / "editor" / name).write_text('{"settings": {}, "about": {}}')
    real = server.runs / "real"
    real.mkdir()
    (real / "settings.json").write_text('{"settings": {}, "about": {"name": "<b>", "model": "never to be seen"}}')
    (real / "start.safetensors").touch()
    (real / "photos").symlink_to(outside / "photos")
    (real / "overlay.png").symlink_to(outside / "secret.png")
    (real / "loss.png").symlink_to("/etc/passwd")
    yield
    (server.runs / "linked").unlink()


def state(folder: Path) -> dict[str, int]:
    """All files and their sizes."""
    return {str(path): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def unharmed(server: Server, photo: str, traps: None) -> Iterator[None]:
    """Nothing may be changed by these requests, and the page must go on answering."""
    before = state(server.runs.parent)
    yield
    assert state(server.runs.parent) == before
    assert server.get("/api/about").status == 200 and server.process.poll() is None
