"""Whole files or none."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from photowords import files
from photowords.errors import UserError


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a long old text")
    files.write_text(path, "né\n")
    assert path.read_bytes() == b"n\xc3\xa9\n"
    files.write_json(tmp_path / "b.json", {"loss": 0.25})
    assert json.loads((tmp_path / "b.json").read_text()) == {"loss": 0.25}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.json"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(UserError) as caught:
        files.write_text(path, "new")
    assert str(caught.value) == f"cannot write {path}: No space left on device; choose another place or make room"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_body_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.atomic(tmp_path / "a") as path:
        path.write_text("half")
        _ = 1 / 0
    with pytest.raises(UserError, match="I/O error"), files.atomic(tmp_path / "a") as path:
        path.write_text("half")
        raise SafetensorError("I/O error")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder; make it first"):
        files.write_text(tmp_path / "absent" / "a", "")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a folder; make it first"):
        files.write_text(tmp_path / "file" / "a", "")


def test_make_folder(tmp_path: Path) -> None:
    for _ in range(2):
        files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"the folder .*file.* cannot be made: .*; choose another place"):
        files.make_folder(tmp_path / "file" / "b")


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*folder: .*directory"):
        files.write_text(tmp_path / "folder", "")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


KILLED = """
import sys, time
from photowords import files
with files.atomic_folder(sys.argv[1] + "/run") as folder:
    (folder / "photo.png").touch()
    print("made", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_when_the_next_folder_is_made_beside_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"made\n"
        (left,) = tmp_path.iterdir()
        with files.atomic_folder(tmp_path / "meanwhile"):
            assert left.is_dir(), "a living process is at work in it"
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    own = tmp_path / left.name.replace(str(process.pid), str(os.getpid()))
    elsewhere = tmp_path / re.sub(r"-.{6}", "-000000", left.name)
    for other in (own, elsewhere, tmp_path / "mine"):
        other.mkdir()
    with files.atomic_folder(tmp_path / "run"):
        pass
    assert not left.exists()
    assert own.is_dir(), "another thread may be at work in it"
    assert elsewhere.is_dir(), "the number is that of a process of another machine"
    assert (tmp_path / "mine").is_dir() and (tmp_path / "run").is_dir()
