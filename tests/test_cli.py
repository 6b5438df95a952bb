"""The commands as a user runs them: what they print, what they leave, and one sentence for bad input."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import pocket
from photowords.cli import main
from photowords.inversion import Run
from photowords.published import like

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


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A short run of the real command in a process of its own, and its JSON."""
    out = tmp_path_factory.mktemp("runs") / "mug"
    command = [sys.executable, "-m", "photowords", "invert", MUG, "--out", out, "--steps", "20", "--held-out", "24"]
    command += ["--evaluate-every", "10", "--samples", "1", "--name", "mug", "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return out, result


def test_invert_leaves_a_run_and_one_json_object(learned: tuple[Path, dict[str, Any]]) -> None:
    out, result = learned
    assert result["sentence"] == " ".join(word["text"] for word in result["words"])
    assert [word["name"] for word in result["words"]][:2] == ["<0>", "<1>"]
    losses = result["held_out_loss"]
    assert [row["step"] for row in losses["curve"]] == [0, 10, 20]
    assert losses["start"] == losses["curve"][0]["loss"] and losses["final"] == losses["curve"][-1]["loss"]
    assert losses["final"] < losses["start"]
    assert result["sample_steps"] == 20 * 4 + 3 * 24
    assert Path(result["concept"]).is_file() and set(result["seconds"]) == {
        "select",
        "load",
        "read",
        "samples",
        "invert",
    }
    left = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert left == {
        "settings.json", "start.safetensors", "concept.safetensors", "losses.jsonl", "seconds.json", "loss.png",
        "result.json", ".lock.photowords",
        "photos/0.png", "samples/step_000000.png", "samples/step_000020.png",
        *(f"checkpoints/{step:06d}.safetensors" for step in (0, 10, 20)),
    }  # fmt: skip
    assert len((out / "losses.jsonl").read_text().splitlines()) == 21


def test_generate_swaps_and_seeds(
    learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder, _ = learned
    arguments = ("generate", "--concept", run_folder, "--seeds", "0-1", "--steps", 4, "--json", "--out", tmp_path)
    status, out, _ = run(capsys, *arguments, "a photo of {mug} on the beach")
    pictures = [Image.open(path) for path in json.loads(out)["images"]]
    assert status == 0 and [picture.size for picture in pictures] == [(64, 64)] * 2
    status, out, _ = run(capsys, *arguments, "a photo of {mug:mug=teapot} on the beach")
    assert status == 0 and len(list(tmp_path.glob("*.png"))) == 4


def test_the_prompt_may_stand_after_the_concepts(
    learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the issue, the README and invert's own last line write it."""
    prompt = "a photo of {mug} on the beach"
    options = ("--seeds", "0-1", "--steps", 2, "--out", tmp_path, "--json")
    status, out, _ = run(capsys, "generate", "--concept", learned[0], prompt, *options)
    assert status == 0 and json.loads(out)["prompt"] == prompt and len(json.loads(out)["images"]) == 2
    assert "no prompt was given" in refused(capsys, "generate", "--concept", learned[0], "--out", tmp_path)
    assert "no prompt was given" in refused(capsys, "generate", "--out", tmp_path)


@pytest.mark.parametrize("init", ["class", "star", "multi-star"])
def test_every_start_and_several_photos_of_a_style(
    init: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--init", init, "--kind", "style", "--steps", 1, "--held-out", 2, "--samples", 0, "--json")
    status, out, _ = run(capsys, "invert", MUG, pocket.view("mug", 1), "--out", tmp_path / "run", *options)
    words = [word["text"] for word in json.loads(out)["words"]]
    assert status == 0
    assert words == {"class": ["mug"], "star": ["*"], "multi-star": ["*"] * 5}[init]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--init", "class", "--class-name", "red striped mug with a star", "--budget", 3), "red striped mug"),
        (("--words", "a red striped mug", "--drop", "striped"), "red mug"),
    ],
)
def test_options_that_the_command_line_once_refused(
    options: tuple[Any, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--steps", 1, "--held-out", 2, "--samples", 0, "--json")
    status, out, _ = run(capsys, "invert", MUG, "--out", tmp_path / "run", *options, *few)
    assert status == 0 and json.loads(out)["sentence"] == sentence


def test_settings_like_those_of_a_source_and_random_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    few = ("--steps", 2, "--batch", 2, "--held-out", 2, "--samples", 0, "--init", "random", "--num-vectors", 3)
    status, said, _ = run(capsys, "invert", MUG, "--out", out, "--like", "diffusers", *few)
    assert status == 0 and "like           diffusers: it states steps 5000, batch 16, lr 0.0001" in said
    assert "sentence       none: 3 random vectors" in said
    made = Run.open(out)
    assert made.settings == like("diffusers", steps=2, batch=2, held_out=2) and made.about["dtype"] == "float32"
    assert run(capsys, "invert", "--out", out, "--resume", "--steps", 3)[0] == 0
    assert "--like is for the beginning of a run" in refused(
        capsys, "invert", "--out", out, "--resume", "--like", "paper"
    )
    assert "nothing is known as --like 'x'; choose from paper" in refused(
        capsys, "invert", MUG, "--out", tmp_path / "other", "--like", "x"
    )


@pytest.mark.parametrize("tool", ["diffusers", "photowords"])  # for those that cannot use the pocket's, test_export.py
def test_an_exported_file_is_read_wherever_a_concept_is(
    tool: str, learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder, result = learned
    file = tmp_path / "mug.safetensors"
    assert run(capsys, "concept", "export", run_folder, "--to", tool, "--out", file)[0] == 0
    status, out, _ = run(capsys, "concept", "show", file, "--json")
    assert status == 0 and len(json.loads(out)["words"]) == len(result["words"])
    arguments = ("generate", "{mug}", "--concept", file, "--steps", 2, "--out", tmp_path / "out")
    assert run(capsys, *arguments)[0] == 0


def test_concept_show_tells_where_it_came_from(
    learned: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "concept", "show", learned[0], "--json")
    provenance = json.loads(out)["provenance"]
    assert provenance["backbone"] == "pocket" and provenance["step"] == 20
    assert len(provenance["photos_sha256"][0]) == 64 and provenance["caption"]


def test_caption_says_the_object_and_its_look(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "caption", MUG, "--json")
    said = json.loads(out)
    assert status == 0 and said["sentence"].endswith("and white checkered mug") and said["class"] == "mug"
    assert [word["text"] for word in said["words"]] == said["sentence"].split()


def test_models_lists_the_short_names(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "models", "--json")
    assert set(json.loads(out)["models"]) >= {"pocket", "sd15", "sd21", "sdxl", "ldm"}


@pytest.mark.parametrize("command", [[], ["caption"], ["invert"], ["generate"], ["concept", "export"], ["demo"]])
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0 and len(capsys.readouterr().out) > 300


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
        (["--steps", "0"], "--steps is 0, but it must be a whole number of at least 1"),
        (["--steps", "many"], "'many' is not a whole number"),
        (["--lr", "-1"], "--lr is -1.0, but it must be a number above 0"),
        (["--batch", "0"], "--batch is 0"),
        (["--kind", "person"], "must be one of object, style"),
        (["--samples", "9"], "from 0 to 4"),
        (["--init", "words"], "--init words needs the words; give them as --words"),
        (["--init", "star", "--words", "a mug"], "--words goes with --init words, not with --init star"),
        (["--num-vectors", "3"], "--num-vectors goes with --init multi-star"),
        (["--classifier", "x"], "--classifier goes with --init class"),
        (["--words", "very " * 40 + "big mug"], "text encoder has room for"),
        (["--name", "my mug"], "cannot be used in a prompt"),
        (["--model", "nonsense"], "there is no model 'nonsense'"),
        (["--model", "."], "is not a model folder"),
        (["--model", "x" * 300], "cannot be used"),
        (["--device", "warp"], "device 'warp' cannot be used"),
        (["--device", "meta"], "device 'meta' cannot be used"),
        (["--dtype", "fp7"], "dtype 'fp7' is unknown"),
        (["--captioner", "/nowhere/blip"], "captioner '/nowhere/blip' cannot be loaded"),
        (["--init", "magic"], "there is no --init 'magic'"),
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
        (["--lr", "0.5"], "was made with --lr None, not 0.5; resume it without --lr"),
        (["--init", "star"], "was made with --init caption, not star"),
        (["--words", "red hat"], "was made with the words"),
        (["--model", "sd15"], "was made with --model pocket, not sd15"),
        ([pocket.view("cup")], "was made from other photos"),
    ],
)
def test_a_run_resumes_only_as_what_it_is(
    options: list[Any], words: str, learned: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, "invert", *options, "--out", learned[0], "--resume")


def test_a_finished_run_resumed_with_its_own_options_stays_the_same(
    learned: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, result = learned
    before = (out / "concept.safetensors").read_bytes()
    status, text, _ = run(capsys, "invert", MUG, "--out", out, "--resume", "--name", "mug", "--steps", 20, "--json")
    assert status == 0 and json.loads(text)["held_out_loss"] == result["held_out_loss"]
    assert (out / "concept.safetensors").read_bytes() == before


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
    assert "smaller --batch" in message


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


def test_a_photo_outside_the_pockets_world_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    options = ("--words", "zebra mug", "--steps", 1, "--held-out", 2, "--samples", 0)
    status, _, err = run(capsys, "invert", tmp_path / "noise.png", "--out", tmp_path / "run", *options, *POCKET)
    assert status == 0
    assert "the photo lies outside the small world" in err and "never seen 'zebra'" in err


# --- Ctrl-C ---


def stopped(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command says when it is stopped."""
    status, out, err = run(capsys, *arguments)
    assert status == 1 and out == ""
    return err


def test_ctrl_c_advises_only_what_applies(
    learned: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "a run"
    with monkeypatch.context() as patch:
        patch.setattr("photowords.backbones.load", stop)
        assert stopped(capsys, "caption", MUG) == "stopped\n"
        assert stopped(capsys, "generate", "{mug}", "--concept", learned[0], "--out", tmp_path) == "stopped\n"
        assert stopped(capsys, "invert", MUG, "--out", out) == "stopped\n", "no run was begun"
    options = ("--words", "red mug", "--held-out", 2, "--samples", 0)
    with monkeypatch.context() as patch:
        patch.setattr("photowords.learning.course.invert", stop)
        advice = f"stopped; go on with: photowords invert --out '{out}' --resume\n"
        assert stopped(capsys, "invert", MUG, "--out", out, *options) == advice
    assert run(capsys, "invert", "--out", out, "--resume", "--steps", 1)[0] == 0
