"""What ``--out`` may name: no command costs the user a file that another one, or the user, has made."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import files, formats, pocket
from photowords.cli.options import check_target
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.jobs import OWN, Job
from tests.command import MUG, refused, run
from tests.test_images import png_header


@pytest.fixture
def folder(learned: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(learned[0], tmp_path / "run"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_written_over_or_among_what_a_run_is_made_of(folder: Path) -> None:
    parts = [path for path in folder.rglob("*") if path != folder / "words.png"]
    new = [folder / name for name in ("photos/1.png", "masks/0.png", "overlay.png", "checkpoints/x/y.png", "stop")]
    for path in (*parts, *new):
        with pytest.raises(UserError, match=f"would be written over or among what the run {folder} is made of"):
            check_target(path, is_earlier=lambda _: True)
    (folder.parent / "link").symlink_to(folder / "photos")
    with pytest.raises(UserError, match="is made of"):
        check_target(folder.parent / "link" / "0.png")


def test_results_may_lie_in_a_run_and_other_folders_are_nobodys(folder: Path, tmp_path: Path) -> None:
    for name in ("words.png", "scores.json", "pw-mug.safetensors", "mask.png", "pictures", "pictures/a.png", "."):
        check_target(folder / name)
    files.write_json(tmp_path / "settings.json", {"mine": True})  # an editor's, say
    check_target(tmp_path / "photos" / "mask.png")
    (folder / "pictures").mkdir()
    Job("mug", (("mug", True),)).write(folder / "pictures")
    check_target(folder / "pictures" / "job" / "0.png")  # a file of that name alone makes no job
    (folder / "pictures" / "job").mkdir()
    shutil.copy(MUG, folder / "pictures" / "job" / "0.png")
    with pytest.raises(UserError, match="is made of"):
        check_target(folder / "pictures" / "job" / "0.png")


def test_the_list_names_what_a_run_leaves(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} - {"words.png"} <= OWN


EXPORT = ("concept", "export", "RUN", "--to", "diffusers", "--out")
SCORES = ("evaluate", "RUN", "--metrics", "held-out-loss", "--out")
MASK = ("mask", "mug.png", "--click", "90,90", "--out")


@pytest.mark.parametrize(
    ("command", "out", "said"),
    [
        (EXPORT, "run/start.safetensors", "is made of"),
        (EXPORT, "run/concept.safetensors", "is made of"),
        (EXPORT, "mine.safetensors", "no earlier result"),
        (EXPORT, "others.safetensors", "others.safetensors is there already and no earlier result"),
        (EXPORT, "note.safetensors", "note.preview.png is there already and no earlier result"),
        ((*EXPORT[:-1], "--per-word", "--out"), "p.safetensors", "p-2-and.safetensors is there already"),
        (
            ("concept", "export", "p-1-red.safetensors", "--to", "diffusers", "--per-word", "--out"),
            "p.safetensors",
            "overwrite p-1-red.safetensors",
        ),
        (
            ("concept", "export", "a.safetensors", "--to", "diffusers", "--out"),
            "a.safetensors",
            "overwrite a.safetensors",
        ),
        (SCORES, "run/settings.json", "is made of"),
        (SCORES, "mug.png", "what is written is a JSON file; let --out end in .json, not 'mug.png'"),
        (SCORES, "mine.json", "mine.json is there already and no earlier result of this command; move it away"),
        (("concept", "words", "RUN", "--out"), "run/photos/0.png", "is made of"),
        (("concept", "words", "RUN", "--out"), "mug.png", "no earlier result"),
        (("concept", "words", "RUN", "--out"), "huge.png", "no earlier result"),
        (MASK, "other.png", "no earlier result"),
        (MASK, "run/photos/0.png", "is made of"),
        (MASK, "mug.png", "mug.png would overwrite mug.png"),
        (MASK, "new.png", "new-overlay.png is there already"),
        (("generate", "{mug}", "--concept", "RUN", "--out"), "run/photos", "is made of"),
        (("demo", "--out"), "run/checkpoints", "is made of"),
        (("demo", "--out"), "new", "demo.png is there already"),
    ],
)
def test_a_users_file_is_never_overwritten(
    command: tuple[str, ...],
    out: str,
    said: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("photowords.backbones.load", lambda *_: pytest.fail("something is computed"))
    (tmp_path / "new").mkdir()
    for name in ("mug.png", "other.png", "new-overlay.png", "new/demo.png"):
        shutil.copy(MUG, name)
    files.write_bytes("huge.png", png_header(30_000, 30_000))
    files.write_json("mine.json", {"mine": 1})
    files.write_text("mine.safetensors", "mine")
    shutil.copy(MUG, "note.preview.png")
    learned = formats.read(folder)
    formats.write(learned, "a.safetensors")
    other = {**learned.provenance, "photos_sha256": ["another"]}
    formats.write(dataclasses.replace(learned, provenance=other), "others.safetensors")
    files.write_text("p-2-and.safetensors", "mine")
    (word, *_) = learned.words
    red = Concept("p", (dataclasses.replace(word, text="red"),), {"sentence": "red"})
    formats.write(red, "p-1-red.safetensors")
    before = content(tmp_path)
    assert said in refused(capsys, *(str(folder) if word == "RUN" else word for word in command), out)
    assert content(tmp_path) == before


def test_a_commands_own_results_are_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for click in ("120,170", "60,60"):  # "look at it; where it is wrong, click again"
        assert run(capsys, "mask", pocket.view("teapot"), "--click", click, "--out", "m.png")[0] == 0
    for tool in ("diffusers", "photowords"):
        assert run(capsys, "concept", "export", folder, "--to", tool, "--out", "m.safetensors")[0] == 0
    (tmp_path / "s.json").touch()  # as mktemp makes it
    for _ in range(2):
        assert run(capsys, "evaluate", folder, "--metrics", "held-out-loss", "--out", "s.json")[0] == 0
        assert run(capsys, "concept", "words", folder, "--out", "chart.png")[0] == 0
    assert list(json.loads((tmp_path / "s.json").read_text())) == ["runs"]
    assert Image.open("m.png").mode == "L"
