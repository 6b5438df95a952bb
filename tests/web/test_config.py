"""What the server is started with: the token in its file, the address that is printed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from photowords.web.config import Config, read_token
from photowords.web.serve import address


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_ever_read_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    replace = os.replace

    def spied(source: Path, target: Path) -> None:
        modes.append(mode(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", spied)
    token = read_token(tmp_path)
    path = tmp_path / ".photowords" / "token"
    assert len(token) >= 32 and path.read_text() == token + "\n" and [*modes, mode(path)] == [0o600, 0o600]
    path.chmod(0o644)  # as a copy of the folder leaves it
    assert read_token(tmp_path) == token and mode(path) == 0o600


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::", "[::1]"),
        ("fd00::7", "[fd00::7]"),
    ],
)
def test_the_address_that_is_printed_can_be_opened(host: str, shown: str, tmp_path: Path) -> None:
    assert address(Config(tmp_path, tmp_path, host=host, token="T"), 7870) == f"http://{shown}:7870/?token=T"
