"""What the README shows runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from photowords import formats, pocket
from photowords.cli import parser

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(pocket.view("mug"), tmp_path / "mug.png")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert "steps=100" in code and len(code.strip().splitlines()) <= 12
    exec(code.replace("steps=100", "steps=2"), {})
    assert Image.open("snow.png").size == (64, 64)
    assert formats.read("mug.safetensors").provenance["step"] == 2


def test_every_command_that_it_shows_is_understood() -> None:
    commands = re.findall(r"^\.venv/bin/photowords (.*?)(?: +#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        words = re.findall(r'"[^"]*"|\S+', command)
        assert parser().parse_args([word.strip('"') for word in words]).run
