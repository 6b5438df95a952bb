"""What a run's words did: every number of the report is checked against what it claims to be."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from photowords import formats, pocket
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.inversion import Run
from photowords.learning import learn
from photowords.settings import InvertSettings
from photowords.starts import Words
from photowords.word_report import WordReport, as_json, plot, word_report


@pytest.fixture(scope="module")
def finished(pocket_model: Backbone, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, WordReport]:
    out = tmp_path_factory.mktemp("words") / "run"
    settings = InvertSettings(steps=20, held_out=24, evaluate_every=10, optimizer="adamw")  # which changes lengths
    words = Words(words="blue mug with star", freeze=("with",))
    learn(pocket_model, [pocket.view("mug")], out, words, "mug", settings, samples=0)
    run = Run.open(out)
    return run, word_report(pocket_model, run)


def test_each_word_has_its_start_and_its_move(finished: tuple[Run, WordReport]) -> None:
    run, report = finished
    assert [word.text for word in report.words] == ["blue", "mug", "with", "star"] and report.step == 20
    assert [word.trainable for word in report.words] == [True, True, False, True]
    frozen = report.words[2]
    assert frozen.cosine == pytest.approx(1, abs=1e-6) and frozen.cosine <= 1 and frozen.norm == pytest.approx(1)
    assert frozen.worth == 0 and frozen.gradient_share == 0 and frozen.put_back == report.held_out["learned"]
    now = formats.read(run.concept_file)
    for word, begun, ended in zip(report.words, run.start().words, now.words, strict=True):
        a, b = begun.vectors["clip_l"].flatten(), ended.vectors["clip_l"].flatten()
        assert word.norm == pytest.approx(float(b.norm() / a.norm()), rel=1e-5)
        assert word.cosine == pytest.approx(float(a @ b / (a.norm() * b.norm())), abs=1e-5)
    for word in report.words[:2]:
        assert word.cosine < 0.999 and abs(word.norm - 1) > 1e-3
    before, after = run.start().words[0].vectors, Run.open(run.folder).start().words[0].vectors
    assert torch.equal(before["clip_l"], after["clip_l"]), "the report changes nothing"


def test_the_nearest_words_are_the_vocabularys(finished: tuple[Run, WordReport], pocket_model: Backbone) -> None:
    words, table = pocket_model.vocabulary("clip_l")
    frozen = finished[1].words[2]
    said, cosine = frozen.nearest[0][0]
    assert said == "with" and cosine == pytest.approx(1, abs=1e-5)
    for word in finished[1].words:
        (nearest,) = word.nearest  # one token
        assert len(nearest) == 3 and all(name in words for name, _ in nearest)
        cosines = [cosine for _, cosine in nearest]
        assert cosines == sorted(cosines, reverse=True)
    assert len(words) == len(table)


def test_the_gradient_shares_are_those_of_the_recorded_norms(finished: tuple[Run, WordReport]) -> None:
    run, report = finished
    norms = torch.tensor([row["gradient"] for row in run.losses() if row["step"]])
    assert norms.shape == (20, 4)
    expected = norms.sum(0) / norms.sum()
    assert [word.gradient_share for word in report.words] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_word_put_back_is_that_word_as_plain_text(finished: tuple[Run, WordReport], pocket_model: Backbone) -> None:
    run, report = finished
    now, problem = formats.read(run.concept_file), run.problem(pocket_model)
    prompts = problem.held_out_prompts
    problem.held_out_prompts = [["mug" if piece == now.refs[1] else piece for piece in prompt] for prompt in prompts]
    plain = problem.held_out({"clip_l": now.vectors("clip_l")})
    assert float(plain.mean()) == pytest.approx(report.words[1].put_back, abs=1e-6)
    assert report.words[1].worth == pytest.approx(report.words[1].put_back - report.held_out["learned"], abs=1e-6)
    learned = run.problem(pocket_model).held_out({"clip_l": now.vectors("clip_l")})
    paired = (plain - learned).double()
    assert report.words[1].standard_error == pytest.approx(float(paired.std()) / len(paired) ** 0.5, rel=1e-4)
    recorded = run.losses()
    assert report.held_out["start"] == pytest.approx(recorded[0]["held_out"], abs=1e-6)
    assert report.held_out["learned"] == pytest.approx(recorded[-1]["held_out"], abs=1e-6)


def test_the_report_is_plain_json_and_a_picture(finished: tuple[Run, WordReport], tmp_path: Path) -> None:
    plain = as_json(finished[1])
    assert set(plain["words"][0]) == {field.name for field in dataclasses.fields(finished[1].words[0])}
    plot(finished[1], tmp_path / "words.png")
    assert Image.open(tmp_path / "words.png").width == 1360


def test_one_held_out_tuple_has_no_standard_error(pocket_model: Backbone, tmp_path: Path) -> None:
    learn(
        pocket_model,
        [pocket.view("mug")],
        tmp_path / "run",
        Words(words="blue mug"),
        settings=InvertSettings(1, held_out=1),
        samples=0,
    )
    report = word_report(pocket_model, Run.open(tmp_path / "run"))
    assert [word.standard_error for word in report.words] == [None, None]
    json.dumps(as_json(report), allow_nan=False)
    plot(report, tmp_path / "words.png")


def test_a_run_without_a_concept_is_refused(finished: tuple[Run, WordReport], pocket_model: Backbone) -> None:
    run = Run.open(finished[0].folder)
    moved = run.concept_file.with_suffix(".moved")
    run.concept_file.rename(moved)
    with pytest.raises(UserError, match="holds no learned concept yet"):
        word_report(pocket_model, run)
    formats.write(run.start(), run.concept_file)  # stopped before the first step
    with pytest.raises(UserError, match="holds no learned concept yet"):
        word_report(pocket_model, run)
    moved.rename(run.concept_file)
