"""The commands as a user runs them: what they print and what they leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import pocket
from photowords.cli import main
from photowords.inversion import Run
from photowords.recipes import recipe
from tests.command import MUG, POCKET, refused, run

FEW = ("--steps", "1", "--held-out", "2", "--samples", "0")


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
    told = ("--seeds", "0-1", "--steps", 4, "--json", "--dtype", "fp32", "--out", tmp_path)
    arguments = ("generate", "--concept", run_folder, *told)
    status, out, _ = run(capsys, *arguments, "a photo of {mug} on the beach")
    pictures = [Image.open(path) for path in json.loads(out)["images"]]
    assert status == 0 and [picture.size for picture in pictures] == [(pocket.SIDE, pocket.SIDE)] * 2
    for number, other in enumerate(([], ["--dtype", "bf16"]), 2):
        status, out, _ = run(capsys, *arguments, "a photo of {mug:mug=teapot} on the beach", *other)
        assert status == 0 and len(list(tmp_path.glob("*.png"))) == 2 * number


def test_pictures_of_other_settings_or_of_other_vectors_are_other_files(
    learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = learned
    asked = ([folder], [folder, "--guidance", 2], [f"mug={folder / 'start.safetensors'}"], [folder])
    for concept, *other in asked:
        told = ("--concept", concept, "--steps", 1, "--out", tmp_path, "--json", *other)
        assert run(capsys, "generate", "a photo of {mug}", *told)[0] == 0
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_a_recipes_mirroring_is_left_out_where_one_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, flip in (("--flip", True), ("--no-flip", False)):
        out = tmp_path / option
        assert main(["invert", str(MUG), "--out", str(out), "--recipe", "paper", option, "--words", "mug", *FEW]) == 0
        assert Run.open(out).settings.flip is flip
    said = refused(capsys, "invert", "--out", tmp_path / "--flip", "--resume", "--no-flip")
    assert "was made with --flip True, not False; resume it without --flip" in said


def test_pictures_of_concepts_under_each_others_names_are_other_files(
    learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = learned
    end, begin = folder / "concept.safetensors", folder / "start.safetensors"
    for a, b in ((end, begin), (begin, end)):
        given = sorted([f"a={a}", f"b={b}"], key=lambda text: "start" in text)  # the same vectors in the same order
        assert run(capsys, "generate", "{a} beside {b}", "--concept", *given, "--steps", 1, "--out", tmp_path)[0] == 0
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_the_prompt_may_stand_after_the_concepts(
    learned: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the issue, the README and invert's own last line write it."""
    prompt = "a photo of {mug} on the beach"
    options = ("--seeds", "0-1", "--steps", 2, "--out", tmp_path, "--json")
    status, out, _ = run(capsys, "generate", "--concept", learned[0], prompt, *options)
    assert status == 0 and json.loads(out)["prompt"] == prompt and len(json.loads(out)["images"]) == 2
    long = refused(capsys, "generate", "--concept", learned[0], f"{prompt} {'very ' * 60}warm", "--out", tmp_path)
    assert "tokens, but the model" in long and "shorten the prompt" in long
    assert "no prompt was given" in refused(capsys, "generate", "--concept", learned[0], "--out", tmp_path)
    assert "no prompt was given" in refused(capsys, "generate", "--out", tmp_path)


@pytest.mark.parametrize("init", ["class", "star", "multi-star"])
def test_every_start_and_several_photos_of_a_style(
    init: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--init", init, "--learnable-property", "style", "--steps", 1, "--held-out", 2, "--samples", 0, "--json")
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


def test_the_settings_of_a_recipe_and_random_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    few = ("--steps", 2, "--batch", 2, "--held-out", 2, "--samples", 0, "--init", "random", "--num-vectors", 3)
    status, said, _ = run(capsys, "invert", MUG, "--out", out, "--recipe", "diffusers", *few)
    assert status == 0 and "recipe         diffusers: it states steps 5000, batch 16, lr 0.0001" in said
    assert "sentence       none: 3 random vectors" in said
    made = Run.open(out)
    assert made.settings == recipe("diffusers", steps=2, batch=2, held_out=2) and made.about["dtype"] == "float32"
    assert run(capsys, "invert", "--out", out, "--resume", "--steps", 3)[0] == 0
    assert "--recipe is for the beginning of a run" in refused(
        capsys, "invert", "--out", out, "--resume", "--recipe", "paper"
    )
    assert "there is no --recipe 'x'; choose from fast, paper" in refused(
        capsys, "invert", MUG, "--out", tmp_path / "other", "--recipe", "x"
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


def test_a_finished_run_resumed_with_its_own_options_stays_the_same(
    learned: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, result = learned
    before = (out / "concept.safetensors").read_bytes()
    status, text, _ = run(capsys, "invert", MUG, "--out", out, "--resume", "--name", "mug", "--steps", 20, "--json")
    assert status == 0 and json.loads(text)["held_out_loss"] == result["held_out_loss"]
    assert (out / "concept.safetensors").read_bytes() == before


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
        patch.setattr("photowords.backbones.locate", stop)
        assert stopped(capsys, "caption", MUG) == "stopped\n"
        assert stopped(capsys, "generate", "{mug}", "--concept", learned[0], "--out", tmp_path) == "stopped\n"
        assert stopped(capsys, "invert", MUG, "--out", out) == "stopped\n", "no run was begun"
    options = ("--words", "red mug", "--held-out", 2, "--samples", 0)
    with monkeypatch.context() as patch:
        patch.setattr("photowords.inversion.loop.Inversion.begin", stop)
        advice = f"stopped; go on with: photowords invert --out '{out}' --resume\n"
        assert stopped(capsys, "invert", MUG, "--out", out, *options) == advice
    assert run(capsys, "invert", "--out", out, "--resume", "--steps", 1)[0] == 0
