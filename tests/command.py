"""Commands as a user runs them, in this process."""

from __future__ import annotations

import pytest

from photowords import pocket
from photowords.cli import main

MUG = pocket.view("mug")
POCKET = ("--model", "pocket")  # also for pictures that are none of its world


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence that bad input gets."""
    status, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert status == 2 and out == "" and len(lines) == 1 and lines[0].startswith("error: "), err
    assert "Traceback" not in err
    return lines[0]
