"""Clicks on the command line: the mask, the region's sentence, and learning from both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import MUG, refused, run

from photowords import formats, pocket


@pytest.fixture
def photo() -> Path:
    return pocket.view("teapot")


def test_mask_writes_the_mask_and_shows_it(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "mask", photo, "--click", "120,170", "--out", tmp_path / "m.png", "--json")
    result = json.loads(out)
    assert status == 0 and Path(result["overlay"]).name == "m-overlay.png"
    mask = np.asarray(Image.open(tmp_path / "m.png"))
    assert mask.shape == (256, 256) and set(np.unique(mask)) == {0, 255}
    assert result["share"] == pytest.approx((mask > 0).mean(), abs=1e-4)
    assert mask[170, 120] == 255 and mask[20, 20] == 0
    assert Image.open(result["overlay"]).size == (256, 256)


def test_a_clicks_mask_gives_the_sentence_and_stays_with_the_run(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    options = ("--click", "120,170", "--steps", 2, "--held-out", 4, "--samples", 0, "--json")
    status, printed, _ = run(capsys, "invert", photo, "--out", out, *options)
    assert status == 0
    assert "teapot" in json.loads(printed)["sentence"].split()
    mask, overlay = Image.open(out / "masks" / "0.png"), Image.open(out / "overlay.png")
    assert mask.size == overlay.size == (256, 256)
    provenance = formats.read(out).provenance
    assert provenance["masks"][0]["clicks"]["on"] == [[120, 170]] and 0.05 < provenance["masks"][0]["share"] < 0.5
    # The same mask from a file is the same start, and resuming goes on with it.
    again = tmp_path / "again"
    status, printed, _ = run(capsys, "invert", photo, "--out", again, "--mask", out / "masks" / "0.png", *options[2:])
    assert status == 0
    assert (again / "losses.jsonl").read_bytes() == (out / "losses.jsonl").read_bytes()
    for folder in (out, again):
        assert run(capsys, "invert", "--out", folder, "--resume", "--steps", 4)[0] == 0
    assert (again / "losses.jsonl").read_bytes() == (out / "losses.jsonl").read_bytes()


def test_caption_describes_the_clicked_object(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(capsys, "caption", photo, "--click", "120,170", "--freeze", "stopwords", "--json")
    result = json.loads(printed)
    assert status == 0 and "teapot" in result["sentence"].split() and result["class"] == "teapot"
    assert result["learned"] == [word not in ("and", "with", "a") for word in result["tokens"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--click", "600,10"), "256x256"),
        (("--click", "10"), "write it like 120,80"),
        (("--box", "10,10,5,5"), "box"),
        (("--click", "10,10", "--mask", "m.png"), "--mask is the object already"),
        (("--segmenter", "somewhere"), "--segmenter needs to know the object"),
        ((), "nothing was selected"),
    ],
)
def test_bad_selections_get_one_sentence(
    options: tuple[str, ...], words: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, "mask", photo, "--out", tmp_path / "m.png", *options)
    assert not (tmp_path / "m.png").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--background-weight", "0.5"), "needs a selected object"),
        (("--click", "9,9", "--background-weight", "1.5"), "must be from 0 to 1"),
        (("--mask", "no.png"), "no.png does not exist"),
        (("--refiner", "http://localhost:1"), "--refiner needs --refiner-model"),
        (("--init", "star", "--candidates", "3"), "--candidates goes with"),
        (("--drop", "zebra"), "zebra"),
        (("--labels", " , "), "names no label"),
    ],
)
def test_bad_options_leave_nothing(
    options: tuple[str, ...], words: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--labels" in options:
        options = ("--init", "class", *options)
    assert words in refused(capsys, "invert", photo, "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_a_mask_of_another_size_and_two_photos_are_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (100, 100), 255).save(tmp_path / "small.png")
    message = refused(capsys, "invert", photo, "--out", tmp_path / "run", "--mask", tmp_path / "small.png")
    assert "100x100" in message and "256x256" in message
    Image.new("L", (256, 256)).save(tmp_path / "empty.png")
    assert "empty" in refused(capsys, "invert", photo, "--out", tmp_path / "run", "--mask", tmp_path / "empty.png")
    message = refused(capsys, "invert", photo, MUG, "--out", tmp_path / "run", "--click", "5,5")
    assert "one photo" in message


def test_concept_words_prints_a_table_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    options = ("--words", "blue mug", "--steps", 3, "--held-out", 4, "--samples", 0)
    assert run(capsys, "invert", MUG, "--out", out, *options)[0] == 0
    status, printed, _ = run(capsys, "concept", "words", out)
    assert status == 0 and "nearest words now" in printed and "mug" in printed and (out / "words.png").is_file()
    result = json.loads(run(capsys, "concept", "words", out, "--json")[1])
    assert [word["word"] for word in result["words"]] == ["blue", "mug"]
    assert "is not a run" in refused(capsys, "concept", "words", tmp_path)
