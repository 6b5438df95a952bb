"""What a trial leaves behind."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from photowords import evaluation, pocket, study
from photowords.backbones import Backbone
from photowords.backbones.pipeline import PipelineBackbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.study.trial import _backbone, work
from tests.study.small_study import SMALL, prepare, results, write


def test_a_trials_file_says_it_all(prepared: study.Prepared, finished: Path) -> None:
    trial = prepared.trials[1]
    record = json.loads((finished / "trials" / f"{trial.id}.json").read_text())
    assert record["spec"] == json.loads(json.dumps(trial.spec)) and record["arm"] == "words"
    assert record["sentence"] == "red mug" and record["placeholders"] == 2
    assert record["caption"] is record["class"] is record["diverged"] is None
    assert len(record["training_loss"]) == 3
    points = record["checkpoints"]
    assert [point["step"] for point in points] == [0, 2, 3]
    assert [point["training_sample_steps"] for point in points] == [0, 8, 12]
    assert [point["sample_steps"] for point in points] == [6, 20, 30]
    for point in points:
        held_out = point["held_out"]
        assert held_out["mean"] == pytest.approx(sum(held_out["losses"]) / 6, rel=1e-6)
        assert held_out["mean"] - points[0]["held_out"]["mean"] == pytest.approx(held_out["difference"], abs=1e-7)
        assert held_out["thirds"][0] == pytest.approx(sum(held_out["losses"][:2]) / 2, rel=1e-6)
    assert [set(point["scores"]) for point in points] == [{"pocket-lpips"}, {"pocket-lpips"}, set()]
    lpips = points[0]["scores"]["pocket-lpips"]
    assert (lpips["samples"], lpips["seeds"]) == (3, 1) and "pocket-lpips" in record["how"]
    assert [path.name for path in (finished / "pictures" / trial.id).iterdir()] == ["step_000002_0.png"]
    assert (finished / "photos" / "mug.png").exists() and (finished / "report" / "report.html").exists()


def test_the_starts_that_read_the_photo_say_what_they_read(tmp_path: Path) -> None:
    arms = '[[arms]]\nname = "caption"\ninit = "caption"\n[[arms]]\nname = "class"\ninit = "class"\n'
    arms += '[[arms]]\nname = "other"\ninit = "other-caption"\n'
    text = SMALL.split("[[arms]]")[0].replace('metrics = ["pocket-lpips"]', "").replace("steps = 2", "steps = 1")
    text = text.replace("evaluate_at = [0, 2]\nscore_at = [0, 2]\npictures_at = [2]\n", "")
    text = text.replace('"cup"', '{name = "x", photo = "cup", class = "red vase"}')
    prepared = study.prepare(write(tmp_path, text + arms), device="cpu", dtype="fp32")
    caption, label, other = (work(prepared.job(trial)).record for trial in prepared.trials[:3])
    assert caption and label and other
    assert caption["caption"].endswith(caption["sentence"]) and caption["placeholders"] > label["placeholders"]
    assert label["class"] == label["sentence"] and other["sentence"] != caption["sentence"]
    assert [point["step"] for point in caption["checkpoints"]] == [0, 1] and caption["how"] == {}
    given = work(prepared.job(prepared.trials[4])).record
    assert given and given["sentence"] == given["class"] == "red vase" and given["init"] == "class"


def test_pictures_are_compared_with_what_the_arm_learned(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Image.new("RGB", (192, 64), "white")
    wide.paste("red", (128, 0, 192, 64))  # beside the middle square
    wide.save(tmp_path / "wide.png")
    compared: list[Image.Image] = []
    monkeypatch.setattr(evaluation, "evaluate", lambda model, concept, squares, *told: compared.extend(squares) or {})
    text = SMALL.replace('["mug", "cup"]', '[{name = "wide", photo = "wide.png"}]')
    for resize in ("crop", "squash"):
        told = text.replace("held_out = 6", f'held_out = 6\nresize = "{resize}"')
        prepared = prepare(write(tmp_path, told), tiny_folder)
        shown = prepared.squares()["wide"]
        assert work(prepared.job(prepared.trials[0])).failure is None
        assert shown.size == (64, 64) and {picture.tobytes() for picture in compared} == {shown.tobytes()}
        assert (shown.getpixel((60, 32)) == (255, 0, 0)) == (resize == "squash")
        compared.clear()


def test_a_mask_too_wide_for_a_square_is_fine_where_the_photo_is_squashed(tmp_path: Path, tiny_folder: Path) -> None:
    Image.new("RGB", (192, 64), "red").save(tmp_path / "wide.png")
    mask = Image.new("L", (192, 64))
    mask.paste(255, (0, 0, 20, 64))
    mask.paste(255, (172, 0, 192, 64))
    mask.save(tmp_path / "mask.png")
    text = SMALL.replace('["mug", "cup"]', '[{name = "wide", photo = "wide.png", mask = "mask.png"}]')
    with pytest.raises(UserError, match=r"concept wide: .*too far apart for one square"):
        prepare(write(tmp_path, text), tiny_folder)
    squashed = prepare(write(tmp_path, text.replace("held_out = 6", 'held_out = 6\nresize = "squash"')), tiny_folder)
    assert work(squashed.job(squashed.trials[0])).failure is None


@pytest.mark.usefixtures("forgetful")
def test_a_model_of_other_weights_does_no_trial_of_a_cluster(
    prepared: study.Prepared, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    (file,) = (other / "unet").glob("*.safetensors")
    save_file({name: weight * 1.2 for name, weight in load_file(file).items()}, file, {"format": "pt"})
    hashed: list[Backbone] = []
    real = PipelineBackbone.weights_hash
    monkeypatch.setattr(PipelineBackbone, "weights_hash", lambda model: hashed.append(model) or real(model))
    here, there = (prepared.job(prepared.trials[0], cluster) for cluster in (False, True))
    assert work(here).failure is None and not hashed, "this machine's is the planner's"
    for _ in range(2):
        assert work(there).failure is None
        assert len(hashed) == 1, "once a worker, not once a trial"
    for _ in range(2):
        failure = work(dataclasses.replace(there, model=str(other))).failure
        assert failure and "is another model than the study's; give it the same one" in failure
    assert len(hashed) == 2


@pytest.fixture
def forgetful() -> Iterator[None]:
    """A worker that has loaded nothing, and keeps nothing for the next test."""
    _backbone.cache_clear()
    yield
    _backbone.cache_clear()


def test_a_job_of_a_cluster_is_on_its_one_gpu(prepared: study.Prepared) -> None:
    trial, elsewhere = prepared.trials[0], dataclasses.replace(prepared, device="cuda:1")
    assert [elsewhere.job(trial, cluster).device for cluster in (False, True)] == ["cuda:1", "cuda"]


def test_results_name_no_place_and_no_time(finished: Path) -> None:
    for name, data in results(finished).items():
        assert str(Path.home()).encode() not in data and b"seconds" not in data, name
        assert str(finished.parent).encode() not in data and str(pocket.HERE).encode() not in data, name


def test_a_diverged_trial_is_a_result(prepared: study.Prepared) -> None:
    trial = prepared.trials[0]
    wild = dataclasses.replace(trial.arm.settings, optimizer="adamw", lr=1e30)
    arm = dataclasses.replace(trial.arm, settings=wild, score_at=())
    outcome = work(prepared.job(dataclasses.replace(trial, arm=arm)))
    assert outcome.failure is None and outcome.record is not None
    assert "the loss became" in outcome.record["diverged"] and outcome.record["checkpoints"][0]["step"] == 0


def test_what_is_scored_and_drawn_is_the_concept_at_that_step(
    prepared: study.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    drawn: list[int] = []

    def generate(model: Backbone, prompt: str, concepts: list[Concept], seeds: range) -> list[Image.Image]:
        drawn.append(concepts[0].provenance["step"])
        return [Image.new("RGB", (8, 8))] * len(seeds)

    monkeypatch.setattr(
        evaluation, "evaluate", lambda model, concept, *told: scored.append(concept.provenance["step"]) or {}
    )
    monkeypatch.setattr("photowords.study.trial.generate", generate)
    assert work(prepared.job(prepared.trials[1])).failure is None
    assert (scored, drawn) == ([0, 2], [2])
