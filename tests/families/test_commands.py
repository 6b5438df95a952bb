"""Every family through the commands, on a small random folder: a sentence that its text encoders split differently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from photowords import backbones, formats, pocket, workers
from photowords.backbones import FAMILIES
from photowords.cli import main
from photowords.concept import Concept
from photowords.formats import TOOLS
from photowords.initializers import start
from photowords.starts import Words
from photowords.study.trial import work
from photowords.workers import Event
from tests import small_models, small_parts
from tests.small_models import HARD

SMALL = ("--steps", 3, "--batch", 2, "--held-out", 4, "--samples", 0, "--evaluate-every", 3)
PHOTO = pocket.view("mug")


@pytest.fixture(scope="module", params=small_models.FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.FAMILIES[request.param](tmp_path_factory.mktemp("family") / request.param)


@pytest.fixture(scope="module")
def learned(folder: Path) -> Path:
    """A run of ``invert`` in which one word stays as it is."""
    run = folder.parent / "run"
    words = ("--init", "words", "--words", HARD, "--freeze", "teapot", "--name", "pot")
    status = main(
        [str(a) for a in ("invert", PHOTO, "--out", run, *words, *SMALL, "--model", folder, "--dtype", "fp32")]
    )
    assert status == 0
    return run


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """The JSON object of a command that ends well."""
    capsys.readouterr()
    status = main([str(argument) for argument in (*arguments, "--json")])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out)


def test_every_family_has_its_small_model() -> None:
    assert {kind.partition(":")[2] for kind in FAMILIES.values()} <= set(small_models.FAMILIES)


def test_every_word_is_learned_in_every_text_encoder(learned: Path, folder: Path) -> None:
    backbone = backbones.load(str(folder), "cpu", "fp32")
    began, ended = formats.read(learned / "start.safetensors"), formats.read(learned)
    assert ended.texts == tuple(HARD.split()) and ended.encoders == tuple(backbone.text_encoders)
    for name, encoder in backbone.text_encoders.items():
        assert ended.sizes(name) == [len(encoder.ids(word)) for word in ended.texts]
        for before, after in zip(began.words, ended.words, strict=True):
            assert torch.equal(before.vectors[name], encoder.word_vectors(before.text))
            moved = (after.vectors[name] - before.vectors[name]).norm(dim=1)
            assert (moved == 0).all() if after.text == "teapot" else (moved > 1e-4).all(), (name, after.text)


def test_the_sentence_is_split_differently(tmp_path: Path) -> None:
    """So it does show that each text encoder has its own number of vectors for a word."""
    tokenizers: list[Any] = [
        small_parts.clip_tokenizer(),
        small_parts.bert_tokenizer(tmp_path / "bert"),
        small_parts.t5_tokenizer(),
    ]
    clip, bert, t5 = (
        [len(read(word, add_special_tokens=False).input_ids) for word in HARD.split()] for read in tokenizers
    )
    assert clip == [2, 5, 1, 4, 4, 12] and bert == [3, 7, 2, 7, 1, 1] and t5 == [4, 7, 2, 8, 2, 2]


def test_concepts_are_shown_and_reported(learned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "concept", "show", learned)
    assert [word["text"] for word in shown["words"]] == HARD.split()
    report = run(capsys, "concept", "words", learned)
    assert len(report["words"]) == 6 and (learned / "words.png").stat().st_size > 1000
    assert sum(word["gradient_share"] for word in report["words"]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("prompt", ["{pot}", "a photo of {pot:chequered=blue} in a market", "{pot:🫖=, чайник=mug}"])
def test_pictures_are_drawn_with_words_swapped(
    prompt: str, learned: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ("--concept", learned, "--model", folder, "--dtype", "fp32", "--seeds", "0-1", "--steps", 3)
    drawn = run(capsys, "generate", prompt, *how, "--out", tmp_path)["images"]
    pictures = [np.asarray(Image.open(path)) for path in drawn]
    assert [picture.shape for picture in pictures] == [(64, 64, 3)] * 2
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_swap_changes_the_picture(
    learned: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ("--concept", learned, "--model", folder, "--dtype", "fp32", "--steps", 3, "--out", tmp_path)
    drawn = {
        prompt: Path(run(capsys, "generate", prompt, *how)["images"][0]).read_bytes()
        for prompt in ("{pot}", "{pot:chequered=blue}", "{pot:teapot=teapot}")
    }
    assert drawn["{pot}"] != drawn["{pot:chequered=blue}"]
    assert drawn["{pot}"] == drawn["{pot:teapot=teapot}"], "a frozen word is its plain word"


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_exported_is_read_back(
    tool: str, learned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    status = main(["concept", "export", str(learned), "--to", tool, "--out", str(tmp_path), "--json"])
    out, err = capsys.readouterr()
    if status == 2:  # a tool that cannot use it, of which small widths are a reason
        assert tool != "photowords" and err.startswith("error: ") and "write it for photowords" in err
        return
    concept, again = formats.read(learned), formats.read(json.loads(out)["files"][0]["file"])
    assert again.texts == concept.texts and set(again.encoders) == set(concept.encoders)
    for encoder in concept.encoders:
        assert torch.equal(again.vectors(encoder), concept.vectors(encoder))
        assert again.sizes(encoder) == concept.sizes(encoder)


def test_diffusers_draws_the_same_picture_from_the_export(
    learned: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the very lines that the export says."""
    capsys.readouterr()
    if main(["concept", "export", str(learned), "--to", "diffusers", "--out", str(tmp_path), "--json"]):
        pytest.skip("diffusers has no loader for this family")
    told = json.loads(capsys.readouterr().out)
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    names = {"pipe": pipe}
    for line in told["files"][0]["steps"]:
        exec(line, names)
    how: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 5.0, "height": 64, "width": 64}
    own = pipe(told["prompt"], generator=torch.Generator().manual_seed(0), **how).images[0]
    options = ("--model", folder, "--dtype", "fp32", "--steps", 3, "--guidance", 5, "--out", tmp_path)
    drawn = run(capsys, "generate", "a photo of {pot}", "--concept", learned, *options)["images"]
    assert np.abs(np.asarray(own, int) - np.asarray(Image.open(drawn[0]), int)).max() <= 1


@pytest.mark.parametrize("kind", ["StableDiffusionXL", "Flux"])
def test_diffusers_finds_the_end_of_a_prompt_in_published_models(kind: str, tmp_path: Path) -> None:
    """Whose CLIP configurations name token 2 as the end, as the first ones did."""
    folder = small_models.FAMILIES[kind](tmp_path / kind)
    for config in folder.glob("text_encoder*/config.json"):
        told = json.loads(config.read_text())
        if told["model_type"].startswith("clip"):
            config.write_text(json.dumps({**told, "eos_token_id": 2}))
    backbone = backbones.load(str(folder), "cpu", "fp32")
    concept = small_models.words_concept(backbone, "blue mug", "pot")
    formats.write(concept, tmp_path / "pw-pot.safetensors", "diffusers")
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    exec("\n".join(formats.use(concept, tmp_path / "pw-pot.safetensors", "diffusers").steps), {"pipe": pipe})
    prompt: list[Any] = ["a photo of a ", *concept.refs, " on the beach"]
    ours = backbone.encode_prompt([prompt], concept.embeddings())["pooled_prompt_embeds"]
    with torch.no_grad():
        found = pipe.encode_prompt("a photo of a <pot> on the beach", "a photo of a <pot> on the beach")
    assert any(
        torch.is_tensor(one) and one.shape == ours.shape and torch.allclose(one, ours, atol=1e-5) for one in found
    )


def test_evaluate_scores_start_and_end(learned: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = ("--metrics", "held-out-loss,pocket-lpips", "--samples", 2, "--steps", 2, "--model", folder)
    scored = json.dumps(run(capsys, "evaluate", learned, *how))
    assert "held-out-loss" in scored and "pocket-lpips" in scored


STUDY = f"""
name = "family"
question = "Does it work?"
concepts = ["mug"]
seeds = [3]
metrics = ["pocket-lpips"]
samples = 1
evaluate_at = [0, 2]
score_at = [2]
pictures_at = [2]
[settings]
steps = 2
batch = 2
held_out = 4
[[arms]]
name = "words"
init = "words"
words = "{HARD}"
"""


def test_a_study_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(jobs: Sequence[Any], count: int) -> Iterator[Event]:
        for index, job in enumerate(jobs):
            yield Event(index)
            yield Event(index, work(job))

    monkeypatch.setattr(workers, "on_processes", here)  # a process of its own takes seconds to begin
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    how = ("--out", tmp_path / "out", "--model", folder, "--dtype", "fp32", "--workers", 1)
    told = run(capsys, "study", tmp_path / "study.toml", *how)
    assert told["done"] == told["trials"] == 1
    assert HARD.split()[0] in (tmp_path / "out" / "report" / "report.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "out" / "pictures").rglob("*.png"))) == 1


def test_threads_do_not_see_each_others_words(folder: Path) -> None:
    backbone = backbones.load(str(folder), "cpu", "fp32")
    made: list[Concept] = [start(Words(words=words), [], backbone, "it") for words in ("blue mug", "teapot 🫖 mug")]
    generator = torch.Generator().manual_seed(0)
    moved = [
        concept.with_vectors(
            {
                name: concept.vectors(name) + torch.randn(concept.vectors(name).shape, generator=generator)
                for name in concept.encoders
            }
        )
        for concept in made
    ]

    def encode(number: int) -> dict[str, torch.Tensor]:
        concept = moved[number % 2]
        with torch.no_grad():
            told = backbone.encode_prompt([["a photo of a ", *concept.refs], ["a market"]], concept.embeddings())
        return dict(told.tensors)

    alone = [encode(0), encode(1)]
    assert any(not torch.equal(alone[0][part], alone[1][part]) for part in alone[0])
    with ThreadPoolExecutor(2) as pool:
        for number, told in enumerate(pool.map(encode, range(40))):
            assert all(torch.equal(told[part], alone[number % 2][part]) for part in told), number
