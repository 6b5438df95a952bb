"""What holds for every command: the streams it is given, the text of its arguments, the JSON that it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from photowords import formats
from photowords.backbones import Backbone
from photowords.cli import main, options
from photowords.cli.each import Table
from photowords.learning.each import Task
from tests.command import MUG, refused, run
from tests.small_models import words_concept


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_no_error(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, name, None)
    assert main(["models"]) == 0
    assert ("pocket" in capsys.readouterr().out) == (name != "stdout")
    monkeypatch.setattr(sys, name, None)
    assert main(["concept", "show", "nowhere"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and ("nowhere does not exist" in err) == (name != "stderr")


def test_a_shell_may_close_a_stream(tmp_path: Path) -> None:
    command = f"{sys.executable} -m photowords concept show nowhere"
    for closing, said in ((">&-", "error: nowhere does not exist"), ("2>&-", ""), ("<&- >&- 2>&-", "")):
        done = subprocess.run(f"{command} {closing}", shell=True, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith(said), done.stderr
        assert done.stderr.count("\n") == bool(said)


@pytest.mark.parametrize(
    "command",
    [
        ("invert", str(MUG), "--out", "r", "--words", "caf\udce9 mug"),
        ("invert", str(MUG), "--out", "r/caf\udce9 mug"),
        ("generate", "a caf\udce9 mug", "--out", "r"),
        ("generate", "a mug", "--negative", "caf\udce9 mug", "--out", "r"),
        ("evaluate", "r", "--prompts", "a {}", "caf\udce9 mug {}"),
        ("caption", "caf\udce9 mug"),
    ],
)
def test_what_is_no_text_is_refused_before_anything_is_made(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, *command)
    assert r"caf\xe9 mug" in said and "is not valid UTF-8; write it in UTF-8, or rename the file" in said
    assert list(tmp_path.iterdir()) == []


def test_json_has_no_infinity(pocket_model: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    concept = words_concept(pocket_model)
    large = {encoder: concept.vectors(encoder) * 0 + 1e30 for encoder in concept.encoders}
    formats.write(concept.with_vectors(large), tmp_path / "large.safetensors")
    status, out, _ = run(capsys, "concept", "show", tmp_path / "large.safetensors", "--json")
    (norms,) = json.loads(out, parse_constant=pytest.fail)["words"][0]["norms"].values()
    assert status == 0 and set(norms) == {None}


def test_an_error_does_not_echo_the_whole_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    for command in (
        ("invert", MUG, "--out", out, "--words", "very red mug " * 100),
        ("invert", MUG, "--out", out, "--init", "random", "--num-vectors", 9999),
        ("invert", MUG, "--out", out, "--words", "a {mug} " * 100),
        ("invert", MUG, "--out", out, "--steps", "many" * 100),
        ("invert", MUG, "--out", out, "--name", "a b " * 100),
        ("generate", "a mug " * 400, "--out", out),
        ("generate", "a {mug " * 400, "--out", out),
    ):
        assert len(refused(capsys, *command)) < 450, command
        assert not (out / "settings.json").exists()


def test_a_model_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("", " "):
        assert f"argument --model: {name!r} names nothing" in refused(capsys, "caption", MUG, "--model", name)


def test_a_line_of_many_photos_speaks_of_options_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options, "HAS", {"out"})
    task = Task(MUG, tmp_path / "mug")
    Table([task], 1).ended(task, f"it is {'x' * 999!r}; give another folder as `out`")
    assert capsys.readouterr().err == f"1/1 mug  not done: it is '{'x' * 200}…'; give another folder as --out\n"
