"""What a stranger tries: pictures of every kind, odd swaps, run folders that lost something."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photowords import backbones, formats, images, prompts
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers import start
from photowords.prompts import parse
from tests.command import MUG, refused, run
from tests.small_models import words_concept


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_of_a_moving_picture_the_first_is_taken_and_said(kind: str, tmp_path: Path, mug: Image.Image) -> None:
    file, others = tmp_path / f"moving.{kind}", [mug.rotate(90), mug.rotate(180)]
    mug.save(file, save_all=True, append_images=others)
    with pytest.warns(PhotowordsWarning, match=rf"moving\.{kind} moves; its first picture is taken"):
        photo = images.load_photo(file)
    apart = np.abs(np.asarray(photo, int) - np.asarray(mug, int)).mean()
    assert apart < 12 < np.abs(np.asarray(photo, int) - np.asarray(others[0], int)).mean()


def test_what_is_wholly_transparent_is_refused(tmp_path: Path, mug: Image.Image) -> None:
    for name, alpha in (("clear", 0), ("faint", 1)):
        picture = mug.copy()
        picture.putalpha(alpha)
        picture.save(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match=r"clear\.png is wholly transparent: there is nothing to see"):
        images.load_photo(tmp_path / "clear.png")
    assert np.asarray(images.load_photo(tmp_path / "faint.png")).min() > 250


def test_a_picture_of_the_one_colour_that_is_clear_is_transparent_too(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "p.png", transparency=(255, 0, 0))
    with pytest.raises(UserError, match="wholly transparent"):
        images.load_photo(tmp_path / "p.png")


def test_what_is_no_file_is_not_called_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(MUG.read_bytes(),), daemon=True)
    writer.start()
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UserError, match=f"{path} is a pipe or a device, but photos are read from files; save it"):
            images.load_photo(path)


def test_a_sound_drawing_without_its_program_is_not_called_damaged(
    tmp_path: Path, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    mug.save(tmp_path / "mug.eps")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", False)
    with pytest.raises(UserError, match=r"mug\.eps is drawn by a program that is not here \(.*Ghostscript.*to PNG"):
        images.load_photo(tmp_path / "mug.eps")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{mug:blue=red:mug=cup}", "the swap 'blue=red:mug=cup' has two '='; write several as {mug:old=new,other=new}"),
        ("{mug:blue=red,blue=green}", "'blue' of {mug} is swapped twice; swap each word once"),
        ("{mug:blue checkered=red,checkered=dotted}", "'checkered' of {mug} is swapped twice"),
        ("{mug:кружка=чайник}", "concept mug has no word 'кружка'; its words are blue, checkered, mug"),
    ],
)
def test_odd_swaps_get_one_sentence(prompt: str, said: str, tiny: Backbone) -> None:
    with pytest.raises(UserError) as caught:
        parse(prompt, {"mug": words_concept(tiny)})
    assert str(caught.value).startswith(said)


def test_a_swap_may_take_a_word_out_or_put_a_pictograph_in(tiny: Backbone) -> None:
    concept = {"mug": words_concept(tiny)}
    plain = [piece for piece in parse("{mug:mug=,blue=🫖}", concept) if isinstance(piece, str)]
    assert plain == ["🫖 "] and len(parse("{mug:mug=,blue=🫖}", concept)) == 2


def test_a_pictograph_is_a_word_that_may_be_unknown(pocket_model: Backbone) -> None:
    assert pocket_model.unknown_words("a 🫖 of чайник, mug* (mug)!") == ["🫖", "чайник"]
    assert prompts.words_in("It's a Mug_1 — “x” ☂️") == ["it", "s", "a", "mug_1", "x", "☂"]


@pytest.fixture
def broken(learned: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(learned[0], tmp_path / "broken"))


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"{", b"\xff", b"[]", b'{"settings": [], "about": {}}', b'{"settings": {}, "about": []}'),
        *(
            b'{"settings": {}, "about": {}}',
            b'{"settings": {}, "about": {"model": "pocket", "dtype": "fp32"}, "format": "x"}',
        ),
    ],
)
def test_a_run_with_damaged_settings_still_draws(
    damage: bytes, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken / "settings.json").write_bytes(damage)
    status, out, _ = run(capsys, "generate", "{mug}", "--concept", broken, "--out", tmp_path / "p", "--steps", 1)
    assert status == 0 and "seed-0.png" in out
    assert "has no readable settings.json" in refused(capsys, "concept", "words", broken)


@pytest.mark.parametrize("damage", [None, b"", b"{"])
def test_a_run_that_lost_its_losses_says_so(
    damage: bytes | None, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken / "losses.jsonl").unlink()
    if damage is not None:
        (broken / "losses.jsonl").write_bytes(damage)
    for more in ((), ("--steps", 40)):
        said = refused(capsys, "invert", "--out", broken, "--resume", *more)
        assert "has lost what was measured: its losses.jsonl is missing or damaged; its concept can be used" in said


def test_a_run_that_lost_its_photo_says_so(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(broken / "photos")
    for command in (("concept", "words", broken), ("invert", "--out", broken, "--resume"), ("evaluate", broken)):
        assert f"has lost its photo; put it back as {broken / 'photos' / '0.png'}" in refused(capsys, *command)


def test_a_damaged_sample_does_not_stop_an_export(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken / "samples" / "step_000020.png").write_bytes(b"")
    out = tmp_path / "m.safetensors"
    status, _, err = run(capsys, "concept", "export", broken, "--to", "diffusers", "--out", out)
    assert status == 0 and out.is_file() and "warning: the export has no picture" in err


def test_a_picture_of_no_world_is_not_called_a_photo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photowords.backbones.automatic.is_cached", lambda _: False)
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    said = refused(capsys, "caption", tmp_path / "white.png")
    assert "this is no picture of the small world that the bundled pocket model knows" in said
    assert run(capsys, "caption", MUG)[0] == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("generate", "a mug", "--seeds", "0,2,1-3", "--out", "g"), "seeds '0,2,1-3' have 2 twice; name each once"),
        (("generate", "{x}", "--concept", "x=", "--out", "g"), "--concept x= names no file; write NAME=FILE"),
        (
            ("generate", "{a}", "--concept", "a b=x", "--out", "g"),
            "--concept a b=x gives the name 'a b', which no prompt",
        ),
        (("caption", MUG, "--class-name", "a photo of"), "give the words yourself as --words of photowords invert"),
        (("caption", MUG, "--caption-noise", "2"), "--caption-noise is 2.0, but it must be a number from 0 to 1"),
        (
            ("invert", MUG, "--words", "a {mug}", "--out", "r"),
            "--words is 'a {mug}', but braces name concepts in prompts",
        ),
        (("study", MUG, "--out", "s"), "view_0.png is not a TOML file: it is no text"),
    ],
)
def test_odd_options_get_one_sentence(
    command: tuple[Any, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *command) and list(tmp_path.iterdir()) == []


def test_a_file_with_a_bad_name_is_named(tiny: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats.write(words_concept(tiny), tmp_path / "mug.safetensors")
    whole = (tmp_path / "mug.safetensors").read_bytes()
    assert whole.count(b'"mug"') == 1, "the name stands in the header"
    (tmp_path / "mug.safetensors").write_bytes(whole.replace(b'"mug"', b'"m g"'))
    said = refused(capsys, "concept", "show", tmp_path / "mug.safetensors")
    assert "mug.safetensors" in said and "'m g' cannot be used in a prompt" in said and "--name" not in said


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "I;16"])
def test_readers_see_a_picture_of_any_mode_as_load_photo_does(
    mode: str, pocket_model: Backbone, mug: Image.Image, tmp_path: Path
) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(mug.convert("L")).astype(np.uint16) * 257)
    else:
        picture = mug.convert(mode)
    file = tmp_path / ("mug.tif" if mode == "CMYK" else "mug.png")
    picture.save(file)
    for init in ("caption", "class"):
        sentences = [start(init, [one], pocket_model).sentence for one in (picture, images.load_photo(file))]
        assert sentences[0] == sentences[1], init


def test_an_empty_path_is_not_the_folder_one_is_in(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("concept", "export", broken, "--to", "diffusers", "--out", ""), ("concept", "words", "")):
        assert "the path is empty" in refused(capsys, *command)
    with pytest.raises(UserError, match="`model` is empty; give a folder, a hub name or one of pocket"):
        backbones.load("")


def test_what_mask_says_next_can_be_typed(
    tmp_path: Path, mug: Image.Image, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mug.save("-a b.png")
    status, out, _ = run(capsys, "mask", "./-a b.png", "--box", "60,60,200,200", "--out", "m.png")
    assert status == 0 and "photowords invert './-a b.png' --mask m.png --out RUN" in out


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_damaged_exif_leaves_the_picture_as_it_is(name: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (16, 24), "red")
    picture.save(tmp_path / name, exif=b"garbage-garbage-garbage")
    assert images.load_photo(tmp_path / name).size == (16, 24)
