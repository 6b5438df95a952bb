"""``photowords evaluate``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import typing
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import formats, images, pocket
from photowords.cli import evaluate as command
from photowords.errors import PhotowordsWarning, UserError
from photowords.evaluation import measures
from photowords.metrics import METRICS, Suite
from tests.evaluation.fast import call


def test_the_command_scores_runs_beside_their_starts(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "scores.json"
    options = ("--metrics", "pocket-lpips,held-out-loss", "--samples", 1, "--steps", 3, "--guidance", 2)
    result = call(run.folder, *options, "--dtype", "fp32", "--device", "cpu", "--out", out)
    table = capsys.readouterr().out
    for part in ("mug", "start", "learned", "lpips ↓", "3 prompts x 1 seed", "6 tuples"):
        assert part in table
    assert 'pocket-lpips: "a photo of a {}"' in table and "3 steps, guidance 2, scheduler default" in table
    assert "held-out-loss: 6 fixed (timestep, noise, template) tuples" in table
    assert json.loads(out.read_text()) == json.loads(json.dumps(result))
    (row,) = result["runs"]
    assert row["protocol"]["settings"]["guidance"] == 2 and row["protocol"]["samples"] == 1 and row["step"] == 2
    assert (row["device"], row["dtype"], row["revision"]) == ("cpu", "float32", None)
    assert list(row["scores"]) == ["start", "learned", "difference"]
    for found in row["scores"].values():
        assert list(found) == ["pocket-lpips", "held-out-loss"]


def test_a_run_that_cannot_be_measured_costs_itself_alone(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, without = tmp_path / "scores.json", tmp_path / "without"
    shutil.copytree(run.folder, without)
    shutil.rmtree(without / "photos")
    options = ("--metrics", "held-out-loss", "--out", out)
    with pytest.raises(UserError, match=r"without is not measured: .*0\.png"):
        call(without, run.folder, *options)
    assert [row["run"] for row in json.loads(out.read_text())["runs"]] == [str(run.folder)]
    assert "learned" in capsys.readouterr().out
    out.unlink()
    with pytest.raises(UserError):
        call(without, *options)
    assert not out.exists()


def test_what_was_learned_as_a_style_is_scored_as_one(run: Any, tmp_path: Path) -> None:
    concept = formats.read(run.concept_file)
    told = {**concept.provenance, "settings": {"learnable_property": "style"}}
    formats.write(dataclasses.replace(concept, provenance=told), tmp_path / "ink.safetensors")
    options = ("--photo", pocket.view("mug"), "--metrics", "pocket-lpips", "--samples", 1, "--steps", 2)
    for file, words in ((tmp_path / "ink.safetensors", "in the style of {}"), (run.concept_file, "a photo of a {}")):
        (row,) = call(file, *options)["runs"]
        assert words in row["protocol"]["prompts"][0]


def test_the_command_scores_an_embedding_file_with_its_photo(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--metrics", "pocket-lpips", "--samples", 1, "--steps", 3, "--json")
    result = call(run.concept_file, "--photo", pocket.view("mug"), *options)
    assert list(result["runs"][0]["scores"]) == ["learned"]
    printed = capsys.readouterr()
    assert printed.out == "" and "learned" in printed.err


def test_a_photo_that_was_learned_from_is_no_true_view(mug_concept: Any, tmp_path: Path) -> None:
    photo = pocket.view("mug")
    known = dataclasses.replace(mug_concept, provenance={"photos_sha256": [images.sha256(photo)]})
    formats.write(known, tmp_path / "mug.safetensors")
    with pytest.raises(UserError, match=r"view_0.png was learned from, and so is no `truth`; give other views"):
        call(tmp_path / "mug.safetensors", "--photo", photo, "--metrics", "psnr", "--truth", photo)


def test_a_run_of_any_name_is_shown(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run.folder, tmp_path / "[red] :cat: []")
    call(tmp_path / "[red] :cat: []", "--metrics", "held-out-loss", "--dtype", "fp32", "--device", "cpu")
    assert "[red] :cat: []" in capsys.readouterr().out


def test_what_json_has_no_number_for_is_null(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The PSNR of identical pictures is infinite.
    monkeypatch.setattr(measures, "generate", lambda backbone, *_: [images.load_photo(pocket.view("mug"))])
    out = tmp_path / "scores.json"
    words = ("--metrics", "psnr", "--samples", 1, "--photo", pocket.view("mug"), "--truth", pocket.view("mug"))
    result = call(run.concept_file, *words, "--out", out)
    assert result["runs"][0]["scores"]["learned"]["psnr"]["value"] is None and "inf" in capsys.readouterr().out
    assert json.loads(out.read_text(), parse_constant=pytest.fail) == json.loads(json.dumps(result, allow_nan=False))


def test_the_command_draws_the_prompts_given(run: Any) -> None:
    options = ("--metrics", "lpips,clip-editability", "--samples", 1, "--steps", 3, "--json")
    words = ("--prompts", "a {}", "a photo of the {}", "--edits", "a {} in the snow")
    (row,) = call(run.folder, *options, *words)["runs"]
    assert row["suite"] == "pocket" and list(row["scores"]["start"]) == ["pocket-lpips", "pocket-clip-editability"]
    assert row["protocol"]["prompts"] == ["a {}", "a photo of the {}"]
    lpips, edits = row["scores"]["start"].values()
    assert lpips["how"].startswith('"a {}", "a photo of the {}", seeds 0 to 0 for each') and lpips["samples"] == 2
    assert edits["how"].startswith('"a {} in the snow", seeds 0 to 0, 3 steps') and edits["samples"] == 1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--metrics", "held-out-loss", "--prompts", "a {}"), "`prompts` means nothing to held-out-loss"),
        (("--metrics", "held-out-loss", "--samples", "0"), "`samples` means nothing to held-out-loss"),
        (("--metrics", "held-out-loss", "--steps", "9"), "`steps` means nothing to held-out-loss"),
        (("--metrics", "held-out-loss", "--guidance", "3"), "`guidance` means nothing to held-out-loss"),
        (("--metrics", "held-out-loss", "--true-cfg-scale", "3"), "`true_cfg_scale` means nothing to held-out-loss"),
        (("--metrics", "lpips", "--edits", "a {}"), "`edits` means nothing to pocket-lpips"),
        (("--metrics", "clip-editability", "--truth", "PHOTO"), "`truth` means nothing to pocket-clip-editability"),
        (("--metrics", "lpips", "--swap", "a=b"), "`swap`"),
        (("--metrics", "clip-editability", "--class-word", "mug"), "`class_word`"),
        (("--metrics", "lpips,sifid", "--weights", "x"), "`weights` means nothing to pocket-lpips, pocket-sifid"),
        (("--metrics", "clip-reconstruction", "--clip", "x"), "`clip`"),
        (("--metrics", "clip-reconstruction", "--dino", "x"), "`dino`"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(run: Any, words: Any, option: Any) -> None:
    with pytest.raises(UserError, match=option):
        call(run.folder, *(str(pocket.view("mug")) if word == "PHOTO" else word for word in words))


CHANGES = {
    "samples": (("--metrics", "lpips"), ("--samples", 2)),
    "steps": (("--metrics", "lpips"), ("--steps", 3)),
    "guidance": (("--metrics", "lpips"), ("--guidance", 8)),
    "prompts": (("--metrics", "lpips"), ("--prompts", "a {}")),
    "dtype": (("--metrics", "lpips"), ("--dtype", "bf16")),
    "edits": (("--metrics", "clip-editability"), ("--edits", "a {} in the snow")),
    "swap": (("--metrics", "word-swap", "--swap", "teal=red"), ("--swap", "mug=cat")),
    "suite": (("--metrics", "clip-reconstruction"), ("--suite", "published", "--clip", "CLIP")),
    "truth": (("--metrics", "clip-i"), ("--truth", str(pocket.view("clock")))),
    "class_word": (("--metrics", "clip-t", "--clip", "CLIP"), ("--class-word", "mug")),
}
ELSEWHERE = {
    "metrics",
    "list",
    "photo",
    "weights",
    "clip",
    "dino",
    "dinov2",
    "out",
    "model",
    "device",
    "offload",
    "true_cfg_scale",
    "json",
}


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_changes_the_scores(run: Any, clip_folder: Any, option: Any) -> None:
    base, words = CHANGES[option]
    common = ("--samples", 1, "--steps", 2, "--device", "cpu", "--dtype", "fp32")
    found = [
        call(run.folder, *common, *(clip_folder if word == "CLIP" else word for word in given))["runs"][0]["scores"]
        for given in (base, (*base, *words))
    ]
    assert found[0] != found[1]
    if option != "swap":  # a swap may show, or not show, alike
        assert found[0]["learned"].popitem()[1]["value"] != found[1]["learned"].popitem()[1]["value"]


def test_no_option_is_left_out_above() -> None:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    options = {action.dest for action in commands.choices["evaluate"]._actions if action.option_strings}
    assert options - {"help"} == CHANGES.keys() | ELSEWHERE


def test_the_suites_of_the_command_are_those_of_the_metrics(run: Any) -> None:
    with pytest.raises(UserError, match=rf"vgg16-397923af\.pth are not in {re.escape(str(run.folder))}[,;]"):
        call(run.folder, "--metrics", "lpips", "--suite", "published", "--weights", run.folder)
    assert set(typing.get_args(Suite)) == {m.suite for m in METRICS.values() if m.suite} == set(command.SUITES)


def test_the_command_lists_every_metric(capsys: pytest.CaptureFixture[str]) -> None:
    result = call("--list")
    shown = capsys.readouterr().out
    assert all(f"{metric.direction} is better, {metric.range}" in shown for metric in METRICS.values())
    assert "lpips-vgg (lpips of the published suite)" in shown and "\npsnr  higher is better" in shown
    assert set(result["metrics"]) == set(METRICS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no run was given"),
        (("RUN", "--metrics", "fid"), "metric 'fid' is unknown"),
        (("RUN/concept.safetensors",), "is not a run folder; name the photo it was learned from with --photo"),
        (("RUN", "--photo", "x.png"), "--photo goes with an embedding file"),
        (("RUN", "nowhere"), "nowhere does not exist"),
        (("RUN", "--samples", "0"), "`samples` is 0"),
        (("RUN", "--out", "RUN"), "is a folder; name a file, such as"),
        (("RUN", "--truth", "nowhere.png"), r"nowhere\.png does not exist"),
    ],
)
def test_the_command_refuses_in_one_sentence(run: Any, words: Any, sentence: Any) -> None:
    with pytest.raises(UserError, match=sentence):
        call(*(word.replace("RUN", str(run.folder)) for word in words))


def test_a_folder_that_is_no_run(tmp_path: Path, mug_concept: Any) -> None:
    formats.write(mug_concept, tmp_path / "concept.safetensors", "photowords")
    with pytest.raises(UserError, match="is not a run of photowords"):
        call(tmp_path)


def test_a_photo_of_another_world_is_warned_of(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The start warns of a photo of the open world; so do scores that are taken beside one."""
    noise = Image.effect_noise((256, 256), 90).convert("RGB")
    noise.save(tmp_path / "real.png")
    options = ("--samples", 1, "--steps", 2, "--metrics", "lpips,psnr")
    file = run.folder / "concept.safetensors"
    with pytest.warns(PhotowordsWarning) as said:
        call(file, "--photo", tmp_path / "real.png", "--truth", tmp_path / "real.png", *options)
    ours = [str(warning.message) for warning in said if warning.category is PhotowordsWarning]
    assert [message.split(" lies ")[0] for message in ours] == ["the photo", "the true view"]
    assert all("expect scores that say little" in message for message in ours)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PhotowordsWarning)
        call(file, "--photo", pocket.view("mug"), "--truth", pocket.view("mug", 1), *options)


def test_the_list_of_metrics_scores_nothing(run: Any) -> None:
    with pytest.raises(UserError, match="--list shows every metric, and scores nothing; leave out runs, --metr"):
        call(run.folder, "--list")
    with pytest.raises(UserError, match="--list shows every metric"):
        call("--list", "--metrics", "nonsense")
