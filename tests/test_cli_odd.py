"""Odd places, names and machines: what a command must survive, or say in a sentence before anything is fetched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import backbones, files, formats, pocket, word_report
from photowords.backbones import Backbone, single_file
from photowords.errors import UserError
from photowords.learning import each
from photowords.learning.each import Share, Task
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.command import MUG, refused, run
from tests.small_models import words_concept

FEW = ("--words", "red mug", "--samples", 0, "--steps", 1, "--held-out", 2, "--batch", 1)


def test_the_folder_that_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (tmp_path / "x.safetensors").touch()
    assert "that you are in" in refused(capsys, "invert", MUG, "--out", ".", "--words", "mug")
    assert "that you are in" in refused(capsys, "convert", "../x.safetensors", "--out", ".")
    assert os.getcwd() == str(tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dtype", "bf17"), "dtype 'bf17' is unknown"),
        (("--name", "my mug"), "my mug"),
        (("--words", ""), "needs the words"),
        (("--words", "{mug}"), "braces name concepts in prompts"),
        (("--init", "words"), "needs the words"),
        (("--init", ""), "names nothing"),
        (("--captioner", " "), "names nothing"),
        (("--steps", "1" + "0" * 400), "must be a whole number from 1"),
        (("--init", "multi-star", "--num-vectors", 10**9), "from 1 to 10,000"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_is_fetched(
    options: tuple[object, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(backbones, "locate", lambda *_: pytest.fail("a model is looked for"))
    assert said in refused(capsys, "invert", MUG, "--out", tmp_path / "run", "--model", "sd15", *options)
    assert not (tmp_path / "run").exists()


def test_an_unset_variable_is_not_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "names nothing" in refused(capsys, "invert", "--each", MUG, "--out", tmp_path / "runs", "--ray", "")
    assert "names nothing" in refused(capsys, "evaluate", tmp_path, "--clip", "")
    assert "names nothing" in refused(capsys, "convert", MUG, "--out", tmp_path / "out", "--like", "")


def test_of_many_photos_no_more_is_kept_than_the_model_is_chosen_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: list[tuple[int, int]] = []

    def look(args: Any, photos: Any, masks: Any, names: Any) -> str:
        sizes.extend(photo.size for photo in photos)
        assert names == ["large.png"]
        raise UserError("enough was seen")

    monkeypatch.setattr("photowords.cli.each.model_for", look)
    Image.effect_noise((900, 600), 90).convert("RGB").save(tmp_path / "large.png")
    assert "enough" in refused(capsys, "invert", "--each", tmp_path / "large.png", "--out", tmp_path / "runs", *FEW)
    assert sizes == [(pocket.SIDE, pocket.SIDE)]


def test_a_model_that_does_not_fit_fails_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: str) -> Backbone:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(each, "_backbone", full)
    task = Task(MUG, Path("mug"))
    share = Share((task,), Words(words="mug"), "it", InvertSettings(), 0, "ends", "pocket", "cuda", "bf16", "auto")
    assert "out of memory" in str(share.work().failures[task])


def test_a_download_has_the_terminal_to_itself(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load, met = backbones.load, []

    def look(*told: Any) -> Backbone:
        met.append(type(sys.stderr).__name__)
        return load(*told)

    monkeypatch.setattr(backbones, "load", look)
    monkeypatch.setattr("photowords.cli.bar.sys.stderr.isatty", lambda: True, raising=False)
    status, out, _ = run(capsys, "invert", MUG, "--out", tmp_path / "run", "--model", tiny_folder, *FEW)
    assert status == 0 and met and "FileProxy" not in met
    assert "sentence       red mug" in out, "a file gets the lines that a terminal would"


def test_no_number_is_lost_with_a_file_that_cannot_be_written(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "run", "mug [new] [/old] :cat: cup"
    options = ("--model", tiny_folder, *FEW)
    assert run(capsys, "invert", MUG, "--out", out, *options, "--words", words)[0] == 0

    def full(*_: Any) -> None:
        raise UserError("cannot write it: No space left on device")

    status, shown, _ = run(capsys, "concept", "words", out)
    assert status == 0 and all(word in shown for word in words.split())
    monkeypatch.setattr(word_report, "plot", full)
    status, shown, _ = run(capsys, "concept", "words", out)
    assert status == 2 and "[new]" in shown
    monkeypatch.setattr(files, "write_json", full)
    scores = ("--metrics", "held-out-loss", "--out", tmp_path / "scores.json")
    status, shown, _ = run(capsys, "evaluate", out, *scores)
    assert status == 2 and "learned" in shown


def test_a_terminal_without_the_letters_gets_their_numbers(tiny: Backbone, tmp_path: Path) -> None:
    formats.write(words_concept(tiny, "кружка", "mug"), tmp_path / "mug.safetensors")
    command = [sys.executable, "-m", "photowords", "concept", "show", str(tmp_path / "mug.safetensors")]
    told = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, check=False)
    assert told.returncode == 0 and rb"\u043a\u0440" in told.stdout and b"Traceback" not in told.stderr


def test_the_next_command_means_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(single_file, "to_folder", lambda *_: "sd15")
    for name in ("sdxl", "auto", "-x"):
        _, out, _ = run(capsys, "convert", "x.safetensors", f"--out={name}")
        assert f"--model ./{name}\n" in out
    assert "--model dreamy\n" in run(capsys, "convert", "x.safetensors", "--out", "dreamy")[1]
