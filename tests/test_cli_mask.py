"""Clicks on the command line: the mask, the region's sentence, and learning from both."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photowords import formats, pocket
from photowords.segmentation.graphcut import GraphCut
from tests.command import MUG, refused, run


@pytest.fixture
def photo() -> Path:
    return pocket.view("teapot")


def test_mask_writes_the_mask_and_shows_it(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks = ("--click", "120,170", "--not", "5,5")
    status, out, _ = run(capsys, "mask", photo, *clicks, "--out", tmp_path / "m.png", "--json")
    result = json.loads(out)
    assert (result["clicks"]["on"], result["clicks"]["off"]) == ([[120, 170]], [[5, 5]])
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
    (again / "masks" / "0.png").rename(again / "moved.png")
    assert "0.png does not exist" in refused(capsys, "invert", "--out", again, "--resume", "--steps", 5)
    (again / "moved.png").rename(again / "masks" / "0.png")
    assert (again / "losses.jsonl").read_bytes() == (out / "losses.jsonl").read_bytes()


def test_caption_describes_the_clicked_object(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed, _ = run(capsys, "caption", photo, "--click", "120,170", "--freeze", "stopwords", "--json")
    result = json.loads(printed)
    assert status == 0 and "teapot" in result["sentence"].split() and result["class"] == "teapot"
    assert all(word["trainable"] == (word["text"] not in ("and", "with", "a")) for word in result["words"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--click", "600,10"), "256x256"),
        (("--click", "10"), "write it like 120,80"),
        (("--box", "10,10,5,5"), "box"),
        (("--click", "10,10", "--mask", "m.png"), "--mask is the object already"),
        (("--segmenter", "somewhere"), "--segmenter needs to know the object"),
        ((), "nothing was selected"),
        (("--click", "-5,10"), "the click -5,10 is outside the picture"),
        (("--click", "nan,10"), "the click nan,10 is outside the picture"),
        (("--box", "0,0,inf,9"), "reaches outside the picture"),
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
        (("--click", "9,9", "--background-weight", "1.5"), "it must be a number from 0 to 1"),
        (("--mask", "no.png"), "no.png does not exist"),
        (("--refiner", "http://localhost:1"), "--refiner needs --refiner-model"),
        (("--init", "star", "--candidates", "3"), "--candidates goes with"),
        (("--drop", "zebra"), "zebra"),
        (("--labels", " , "), "names nothing"),
        (("--labels", "no.txt"), "--labels names no two words to choose from: 'no.txt'"),
        (("--words", ""), "--init words needs the words"),
        (("--reranker", "somewhere"), "--reranker chooses among candidates; add --candidates"),
        (("--init", "multi-star", "--num-vectors", "2", "--budget", "3"), "--budget is about the caption"),
        (("--refiner", "", "--refiner-model", "small"), "the refiner's URL must look like"),
        (("--refiner", "http://localhost:1", "--refiner-model", " "), "names nothing"),
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


def test_the_photo_is_never_overwritten(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("m.png", "m-overlay.png"):
        folder = tmp_path / Path(name).stem
        folder.mkdir()
        own = Path(shutil.copy(photo, folder / name))
        message = refused(capsys, "mask", own, "--click", "120,170", "--out", folder / "m.png")
        assert "would overwrite" in message
        assert own.read_bytes() == photo.read_bytes() and os.listdir(folder) == [name]


def test_pieces_too_far_apart_for_one_square_are_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide, ends = Image.new("RGB", (900, 256), "gray"), Image.new("L", (900, 256))
    wide.paste(Image.open(photo), (0, 0))
    for left in (0, 860):
        ends.paste(255, (left, 100, left + 40, 150))
    wide.save(tmp_path / "wide.png")
    ends.save(tmp_path / "ends.png")
    options = ("--mask", tmp_path / "ends.png", "--background-weight", 0, "--model", "pocket")
    assert "too far apart" in refused(capsys, "invert", tmp_path / "wide.png", "--out", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_a_long_list_of_labels_and_a_file_with_a_byte_order_mark(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ",".join(["teapot", *(f"thing {number}" for number in range(60))])  # longer than a file's name can be
    (tmp_path / "labels.txt").write_text("teapot\r\nmug\r\n", encoding="utf-8-sig")
    for labels, count in ((many, 5), (tmp_path / "labels.txt", 2)):
        status, printed, _ = run(capsys, "caption", photo, "--labels", labels, "--json")
        result = json.loads(printed)
        assert status == 0 and result["class"] == "teapot"
        candidates = result["provenance"]["class_candidates"]
        assert candidates[0][0] == "teapot" and len(candidates) == count


def test_a_run_does_not_say_in_which_folder_its_segmenter_was(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Folder(GraphCut):
        source = str(tmp_path)

    monkeypatch.setattr("photowords.segmentation.selector.load", lambda source, device: Folder())
    options = ("--click", "120,170", "--segmenter", tmp_path, "--steps", 1, "--held-out", 2, "--samples", 0)
    status, printed, _ = run(capsys, "invert", photo, "--out", tmp_path / "run", *options)
    assert status == 0 and "overlay.png" in printed
    provenance = formats.read(tmp_path / "run").provenance
    assert provenance["masks"][0]["source"] == tmp_path.name and str(tmp_path) not in json.dumps(provenance)


def test_a_resumed_run_refuses_what_only_its_beginning_looks_at(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--refiner-model", "--refiner-instruction", "--segmenter"):
        message = refused(capsys, "invert", "--out", tmp_path, "--resume", option, "x")
        assert f"{option} is for the beginning of a run" in message


def test_concept_words_prints_a_table_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    options = ("--words", "blue mug", "--steps", 3, "--held-out", 4, "--samples", 0)
    assert run(capsys, "invert", MUG, "--out", out, *options)[0] == 0
    status, printed, _ = run(capsys, "concept", "words", out)
    assert status == 0 and "nearest words now" in printed and "mug" in printed and (out / "words.png").is_file()
    result = json.loads(run(capsys, "concept", "words", out, "--json")[1])
    assert [word["text"] for word in result["words"]] == ["blue", "mug"]
    assert "is not a run" in refused(capsys, "concept", "words", tmp_path)
    assert "end in .png" in refused(capsys, "concept", "words", out, "--out", tmp_path / "words.svg")
