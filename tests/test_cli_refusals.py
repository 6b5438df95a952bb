"""One sentence for bad input, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import pocket
from photowords.jobs import Job
from tests.command import MUG, POCKET, refused


def bomb(path: Path) -> None:
    """A PNG whose header promises 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


def test_bad_photos_get_one_sentence_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = MUG.read_bytes()
    files = {
        "text.png": b"not a picture",
        "cut.png": whole[: len(whole) // 2],
        "empty.png": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    bomb(tmp_path / "bomb.png")
    for name, words in {
        "text.png": "not an image",
        "cut.png": "damaged or cut-off",
        "empty.png": "is empty",
        "dot.png": "too small",
        "bomb.png": "has too many pixels to be opened; shrink it",
        "missing.png": "does not exist",
        ".": "is a folder",
    }.items():
        assert words in refused(capsys, "invert", tmp_path / name, "--out", tmp_path / "run", *POCKET), name
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], "--steps is 0, but it must be a whole number from 1 to 10,000,000"),
        (["--steps", "many"], "'many' is not a whole number"),
        (["--lr", "-1"], "--lr is -1.0, but it must be a number above 0"),
        (["--batch", "0"], "--batch is 0"),
        (["--learnable-property", "person"], "must be one of object, style"),
        (["--samples", "9"], "from 0 to 4"),
        (["--init", "words"], "--init words needs the words; give them as --words"),
        (["--init", "star", "--words", "a mug"], "--words goes with --init words, not with --init star"),
        (["--num-vectors", "3"], "--num-vectors goes with --init multi-star"),
        (["--classifier", "x"], "--classifier goes with --init class"),
        (["--words", "very " * 40 + "big mug"], "text encoder has room for"),
        (["--name", "my mug"], "cannot be used in a prompt"),
        (["--name", ""], "cannot be used in a prompt"),
        (["--model", "nonsense"], "there is no model 'nonsense'"),
        (["--model", "."], "is not a model folder"),
        (["--model", "x" * 300], "cannot be used"),
        (["--device", "warp"], "device 'warp' cannot be used"),
        (["--device", "meta"], "device 'meta' cannot be used"),
        (["--dtype", "fp7"], "dtype 'fp7' is unknown"),
        (["--captioner", "/nowhere/blip"], "captioner '/nowhere/blip' cannot be loaded"),
        (["--init", "magic"], "there is no --init 'magic'"),
        (["--evaluate-at", "-1"], "--evaluate-at is -1, but it must be a list of whole numbers, each of at least 0"),
        (["--evaluate-at", "2", "--evaluate-every", "5"], "--evaluate-every means nothing beside --evaluate-at"),
        (["--samples", "0", "--samples-at", "ends"], "--samples-at means nothing where --samples is 0"),
        (["--typo"], "unrecognized arguments: --typo"),
    ],
)
def test_bad_options_get_one_sentence_and_leave_nothing(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, "invert", MUG, "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lr", "0.5"], "was made without --lr; resume it without --lr"),
        (["--init", "star"], "was made with --init caption, not star"),
        (["--words", "red hat"], "was made with the words"),
        (["--model", "sd15"], "was made with --model pocket, not sd15"),
        (["--samples-at", "checkpoints"], "was made with --samples-at ends, not checkpoints"),
        ([pocket.view("cup")], "was made from other photos"),
    ],
)
def test_a_run_resumes_only_as_what_it_is(
    options: list[Any], words: str, learned: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, "invert", *options, "--out", learned[0], "--resume")


@pytest.mark.parametrize(
    "options",
    [
        ("--steps", 3),
        ("--samples", 0),
        ("--samples-at", "checkpoints"),
        ("--words", "red hat"),
        ("--device", "cuda:7"),
        ("--dtype", "bf16"),
        (MUG,),
    ],
    ids=str,
)
def test_a_job_begins_only_as_what_it_is(
    options: tuple[Any, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job").mkdir()
    shutil.copy(MUG, tmp_path / "job" / "0.png")
    Job("mug", (("blue", True), ("mug", True))).write(tmp_path)
    what = "photos" if options == (MUG,) else options[0]
    message = refused(capsys, "invert", "--out", tmp_path, "--resume", *options)
    assert f"holds a job that has not begun; resume it without {what}" in message
    assert {path.name for path in tmp_path.iterdir()} == {"job", "job.json"}
    if options[0] == "--words":
        assert "holds a job that waits for its turn" in refused(capsys, "invert", MUG, "--out", tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "nope"), "there is no model 'nope'"),
        (("--model", "."), "is not a model folder"),
        (("--device", "warp"), "device 'warp' cannot be used"),
        (("--dtype", "fp7"), "dtype 'fp7' is unknown"),
        (("--studies", "nowhere"), "there is no folder of studies nowhere; leave --studies out"),
    ],
)
def test_the_page_does_not_open_on_what_cannot_work(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, "web", "--runs", tmp_path / "runs", *options)


def test_a_hub_name_without_network_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = refused(capsys, "invert", MUG, "--model", "nobody/nothing", "--out", tmp_path / "run")
    assert "could not be fetched" in message and "give its folder as --model" in message


def test_bad_places_get_one_sentence(
    learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("mine")
    assert "is a file" in refused(capsys, "invert", MUG, "--out", blocker)
    assert "File name too long" in refused(capsys, "invert", MUG, "--out", tmp_path / ("x" * 300))
    assert "cannot be made" in refused(capsys, "invert", MUG, "--out", blocker / "run")
    arguments = ("generate", "{mug}", "--concept", learned[0])
    assert "cannot be made" in refused(capsys, *arguments, "--out", blocker / "out")
    assert "wants a file whose name ends in .safetensors, not 'x.bin'" in refused(
        capsys, "concept", "export", learned[0], "--to", "diffusers", "--out", "x.bin"
    )
    assert "is not a folder" in refused(
        capsys, "concept", "export", learned[0], "--to", "diffusers", "--out", blocker / "x.safetensors"
    )
    assert blocker.read_text() == "mine"


def test_full_memory_gets_one_sentence(
    learned: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("photowords.generation.generate", full)
    message = refused(capsys, "generate", "{mug}", "--concept", learned[0], "--out", tmp_path)
    assert "the memory is full; try --dtype bf16" in message


def test_a_full_disk_gets_one_sentence(
    learned: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    message = refused(capsys, "generate", "{mug}", "--steps", 1, "--concept", learned[0], "--out", tmp_path)
    assert "No space left on device" in message
    assert "No space left on device" in refused(capsys, "invert", MUG, "--words", "mug", "--out", tmp_path / "run")
    assert list(tmp_path.rglob("*.png")) == []


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("{cup}", "names the concept {cup}, which is not among those given ({mug})"),
        ("{mug:wings=horns}", "has no word 'wings'"),
        ("{mug} " * 30, "text encoder reads at most 30"),
    ],
)
def test_bad_prompts_get_one_sentence(
    prompt: str, words: str, learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, "generate", prompt, "--concept", learned[0], "--out", tmp_path)


def test_a_concept_for_another_model_is_refused(
    learned: tuple[Path, dict[str, Any]], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, "generate", "{mug}", "--concept", learned[0], "--model", tiny_folder, "--out", tmp_path)
    assert "concept mug was made for pocket" in message and "needs 32" in message
