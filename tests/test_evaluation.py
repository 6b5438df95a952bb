"""evaluate(): what is sampled, what is recorded, what is refused; and the command that shows it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import statistics
import typing
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageFilter
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from photowords import formats, images, pocket, pretrained
from photowords.backbones import Backbone
from photowords.cli import evaluate as command
from photowords.errors import UserError
from photowords.evaluation import DEFAULTS, PROMPTS, Protocol, evaluate, evaluate_run, measures, resolved, scores, suite
from photowords.initializers import start
from photowords.inversion import Run, invert
from photowords.metrics import METRICS, Suite, resolve
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Words
from tests.test_metrics import save_dino, weight_folder  # noqa: F401

FAST = Protocol(
    samples=2,
    settings=GenerateSettings(steps=4),
    prompts=("a photo of a {}",),
    edits=("a photo of a {} in the snow",),
)
POCKETS = ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction", "pocket-clip-editability")


def concept_of(backbone: Any, text: str, name: Any = "it") -> Any:
    return start(Words(words=text), [], backbone, name)


@pytest.fixture(scope="module")
def mug_concept(pocket_model: Backbone) -> Any:
    return concept_of(pocket_model, "teal and white checkered mug")


@pytest.fixture(scope="module")
def run(pocket_model: Backbone, mug_concept: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two real steps on the mug's photo."""
    folder = tmp_path_factory.mktemp("runs") / "mug"
    settings = InvertSettings(steps=2, batch=1, held_out=6, evaluate_every=2)
    photo = images.load_photo(pocket.view("mug"))
    made = Run.create(folder, settings, {"model": "pocket", "sentence": mug_concept.sentence}, [photo], mug_concept)
    for step in invert(pocket_model, mug_concept, [photo], settings):
        made.record(step)
    return made


# --- evaluate ---


def test_scores_are_recorded_with_their_protocol(pocket_model: Backbone, mug_concept: Any, mug: Image.Image) -> None:
    scores = evaluate(pocket_model, mug_concept, [mug], DEFAULTS, FAST)
    assert tuple(scores) == POCKETS
    for name, score in scores.items():
        assert score.direction == METRICS[name].direction and score.samples == score.seeds == 2
        assert score.spread is not None and score.standard_error == pytest.approx(score.spread / 2**0.5)
        assert "seeds 0 to 1, 4 steps, guidance 5, scheduler default" in score.how
        prompt = FAST.edits[0] if name.endswith("editability") else FAST.prompts[0]
        assert f'"{prompt}"' in score.how and score.how.split("; ")[1]
    json.loads(json.dumps({name: dataclasses.asdict(score) for name, score in scores.items()}, allow_nan=False))
    assert evaluate(pocket_model, mug_concept, [mug], POCKETS[::-1], FAST) == scores
    one = evaluate(pocket_model, mug_concept, [mug], ["pocket-lpips"], dataclasses.replace(FAST, samples=1))
    assert one["pocket-lpips"].spread is one["pocket-lpips"].standard_error is None
    assert "seeds 0 to 0" in one["pocket-lpips"].how


def test_the_words_of_the_photo_score_better_than_others(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image
) -> None:
    other = concept_of(pocket_model, "purple striped guitar")
    metrics = ["pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction"]
    protocol = dataclasses.replace(FAST, samples=3, settings=GenerateSettings(steps=8))
    right, wrong = (evaluate(pocket_model, concept, [mug], metrics, protocol) for concept in (mug_concept, other))
    for name in metrics:
        sign = 1 if METRICS[name].direction == "higher" else -1
        assert sign * right[name].value > sign * wrong[name].value, name


def test_each_prompt_is_sampled_once_for_all_metrics(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def generate(backbone: Any, prompt: Any, concepts: Any, seeds: Any, settings: Any) -> Any:
        drawn.append((prompt, [concept.name for concept in concepts], list(seeds)))
        return [mug.filter(ImageFilter.GaussianBlur(seed)) for seed in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, swap="checkered=striped")
    scores = evaluate(
        pocket_model, mug_concept, [mug], [*POCKETS, "psnr", "ssim", "pocket-word-swap"], protocol, truth=[mug]
    )
    assert drawn == [
        ("a photo of a {it}", ["it"], [0, 1]),
        ("a photo of a {it} in the snow", ["it"], [0, 1]),
        ("a photo of a {it:checkered=striped}", ["it"], [0, 1]),
        ("a photo of a striped", [], [0, 1]),
    ]
    # Seed 0 is the photo itself.
    spread = scores["pocket-lpips"].spread
    assert spread and scores["pocket-lpips"].value * 2 == pytest.approx(spread * 2**0.5, rel=1e-4)
    assert 0.5 < scores["ssim"].value < 1 and scores["pocket-clip-reconstruction"].value > 0.9


def test_all_pairs_of_photos_and_pictures_count(pocket_model: Backbone, mug_concept: Any, mug: Image.Image) -> None:
    clock = images.load_photo(pocket.view("clock"))
    names = ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction")
    one, other, both = (
        evaluate(pocket_model, mug_concept, photos, names, FAST) for photos in ([mug], [clock], [clock, mug])
    )
    for name in names:
        assert one[name].how.endswith("; with 1 photo") and both[name].how.endswith("; with 2 photos")
        assert both[name].value == pytest.approx((one[name].value + other[name].value) / 2, rel=1e-4)


# --- published names and weights ---


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A random CLIP in the real folder format."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(pocket.PIPELINE / "tokenizer")
    common = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {**common, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 32}
    vision = {**common, "image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return str(folder)


def test_every_published_metric_runs_through_the_real_loading_paths(
    pocket_model: Backbone,
    mug_concept: Any,
    mug: Image.Image,
    clip_folder: Any,
    weight_folder: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    sources = {family: save_dino(tmp_path / family, family) for family in ("dino", "dinov2")}
    sources |= {"clip": clip_folder, "weights": str(weight_folder)}
    names = ["lpips-vgg", "lpips-alex", "sifid", "clip-reconstruction", "clip-editability", "clip-i", "clip-t"]
    names += ["dino", "dinov2", "psnr", "ssim", "word-swap"]
    losses = {"training-loss", "held-out-loss", "held-out-gain"}
    assert {*names, *POCKETS, "pocket-word-swap"} | losses == set(METRICS)
    protocol = dataclasses.replace(FAST, swap="mug=cat", class_word="mug")
    scores = evaluate(pocket_model, mug_concept, [mug], names, protocol, [mug], sources, suite="published")
    assert list(scores) == names
    assert all(torch.tensor(score.value).isfinite() for score in scores.values())
    assert "vgg16-397923af.pth" in scores["lpips-vgg"].how and "alexnet-owt-7be5be79.safetensors" in (
        scores["lpips-alex"].how
    )
    assert "before the second pooling" in scores["sifid"].how and "'mug' for the concept" in scores["clip-t"].how
    assert (
        f"CLIP {pretrained.identity(clip_folder, 'CLIP')}" in scores["clip-reconstruction"].how
        and "with 1 true view" in scores["clip-i"].how
        and "with 1 photo" in scores["sifid"].how
    )
    assert scores["clip-t"].value != scores["clip-editability"].value


@pytest.mark.parametrize("name", ["clip-reconstruction", "clip-editability", "clip-i", "clip-t", "word-swap"])
def test_the_pockets_clip_never_gives_a_published_score(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image, name: Any, tmp_path: Path
) -> None:
    copied = shutil.copytree(pocket.CLIP, tmp_path / "openai-clip")
    protocol = dataclasses.replace(FAST, swap="mug=cat")
    for sources in ({}, {"clip": str(copied)}):
        with pytest.raises(UserError, match="never under a published name; give a published CLIP as `clip`"):
            evaluate(pocket_model, mug_concept, [mug], [name], protocol, sources=sources, suite="published")


def test_a_name_means_the_metric_of_the_suite(tiny: Backbone, pocket_model: Backbone) -> None:
    assert (suite(tiny), suite(pocket_model)) == ("published", "pocket")
    published = ["lpips-vgg", "sifid", "clip-reconstruction", "clip-editability"]
    assert [resolve(name, "published").name for name in DEFAULTS] == published
    assert [resolve(name, "pocket").name for name in DEFAULTS] == list(POCKETS)
    for name in ("lpips-vgg", "lpips-alex", "dino", "psnr", "held-out-loss", "pocket-lpips"):
        assert resolve(name, "pocket").name == resolve(name, "published").name == name
    assert {resolve(name, of).suite for name in DEFAULTS for of in ("pocket",)} == {"pocket"}
    with pytest.raises(UserError, match="pocket-sifid is asked for twice on pocket"):
        resolved(["sifid", "pocket-sifid"], pocket_model)


# --- refusals, all before anything is sampled ---


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("fid", "metric 'fid' is unknown; choose from training-loss, held-out-loss, held-out-gain, lpips, lpips-vgg"),
        ("held-out-loss", "is a metric of a run; evaluate the run's folder"),
        ("psnr", "none was given; add them as `truth`"),
        ("pocket-word-swap", "give it as `swap`: OLD=NEW"),
        ("lpips-vgg", r"vgg16-397923af\.pth are not in"),
        ("dino", "the dino model '.*nowhere' cannot be loaded"),
    ],
)
def test_what_cannot_be_measured_is_said_before_sampling(
    pocket_model: Backbone,
    mug_concept: Any,
    mug: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
    metric: Any,
    sentence: Any,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(measures, "generate", lambda *_: pytest.fail("sampled"))
    sources = {"weights": str(tmp_path), "dino": str(tmp_path / "nowhere")}
    with pytest.raises(UserError, match=sentence):
        evaluate(pocket_model, mug_concept, [mug], ["pocket-lpips", metric], FAST, sources=sources)


def test_a_swap_of_a_word_that_is_not_there_and_no_photo(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image
) -> None:
    with pytest.raises(UserError, match="'teal and white checkered mug', which has no 'dotted'"):
        evaluate(pocket_model, mug_concept, [mug], ["pocket-word-swap"], dataclasses.replace(FAST, swap="dotted=plain"))
    with pytest.raises(UserError, match="no photo to compare the pictures of it with"):
        evaluate(pocket_model, mug_concept, [], ["pocket-lpips"], FAST)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"samples": 0}, "`samples` is 0"),
        ({"prompts": ("a photo",)}, "the reconstruction prompt 'a photo' must have one {}"),
        ({"prompts": ()}, "no reconstruction prompt"),
        ({"prompts": ("a {}", "a {}")}, "given twice, and would count twice"),
        ({"edits": ("a {} and a {}",)}, "the edit prompt 'a {} and a {}' must have one {}"),
        ({"edits": ()}, "no edit prompt"),
    ],
)
def test_a_protocol_is_checked(change: Any, sentence: Any) -> None:
    with pytest.raises(UserError, match=sentence):
        Protocol(**change)


def test_the_default_prompts_are_in_the_pockets_words(pocket_model: Backbone) -> None:
    object_, style = Protocol(), Protocol.of_kind("style")
    assert object_ == Protocol.of_kind("object") and all("style" in prompt for prompt in style.prompts)
    assert not pocket_model.unknown_words(" ".join((*object_.prompts, *object_.edits)).replace("{}", ""))
    own = Protocol.of_kind("style", ["a {}"], ["a {} on a mug"])
    assert (own.prompts, own.edits) == (("a {}",), ("a {} on a mug",))


# --- several prompts ---


def test_lpips_and_sifid_are_averaged_over_the_papers_three_prompts(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, blurred by its seed alone, is the likest; the others are blurred more."""
    paper = ("a photo of {}", "a photo of a {}", "a good photo of a {}")
    assert sorted(PROMPTS["object"]) == sorted(paper) and PROMPTS["object"][0] == "a photo of a {}"
    drawn = []

    def generate(backbone: Any, prompt: Any, concepts: Any, seeds: Any, settings: Any) -> Any:
        drawn.append(prompt)
        return [mug.filter(ImageFilter.GaussianBlur(1 + seed + 4 * drawn.index(prompt))) for seed in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, samples=3, prompts=PROMPTS["object"])
    names = ["lpips", "sifid", "clip-reconstruction", "psnr"]
    together = evaluate(pocket_model, mug_concept, [mug], names, protocol, [mug])
    assert drawn == [prompt.replace("{}", "{it}") for prompt in PROMPTS["object"]]
    alone = [
        evaluate(pocket_model, mug_concept, [mug], names, dataclasses.replace(protocol, prompts=(prompt,)), [mug])
        for prompt in PROMPTS["object"]
    ]
    for name in ("pocket-lpips", "pocket-sifid", "psnr"):
        of_one = torch.tensor([scores[name].value for scores in alone])
        assert together[name].value == pytest.approx(of_one.mean().item(), rel=1e-6) and of_one.std() > 0
        assert (together[name].samples, together[name].seeds, alone[0][name].samples) == (9, 3, 3)
        assert all(f'"{prompt}"' in together[name].how for prompt in PROMPTS["object"])
    assert together["pocket-clip-reconstruction"] == alone[0]["pocket-clip-reconstruction"], "which has but the first"


def test_the_standard_error_is_over_seeds_because_prompts_share_them() -> None:
    def score(name: Any, values: Any) -> Any:
        return scores._Measured(METRICS[name], torch.tensor(values), "how").score()

    lpips = score("lpips-vgg", [[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])  # (prompts, seeds)
    assert (lpips.value, lpips.samples, lpips.seeds, lpips.parts) == (4.0, 6, 3, {})
    assert lpips.spread == pytest.approx(statistics.stdev([1, 2, 6, 3, 4, 8]))
    assert lpips.standard_error == pytest.approx(statistics.stdev([2, 3, 7]) / 3**0.5)
    tuples = score("held-out-loss", [1.0, 2.0, 6.0])
    assert (tuples.samples, tuples.seeds) == (3, None)
    assert tuples.standard_error == pytest.approx(tuples.spread / 3**0.5)
    assert tuples.parts == {"little_noise": 1.0, "middling_noise": 2.0, "much_noise": 6.0}
    one = score("lpips-vgg", [[1.0], [3.0]])
    assert one.spread == pytest.approx(2**0.5) and one.standard_error is None
    endless = score("psnr", [[float("inf"), 3.0]])
    assert endless.value == float("inf") and endless.spread is endless.standard_error is None


# --- runs ---


def test_a_runs_held_out_loss_is_the_loops_own(pocket_model: Backbone, run: Any) -> None:
    names = ["held-out-gain", "held-out-loss"]
    scores = evaluate_run(pocket_model, run, names)
    recorded = [row["held_out"] for row in run.losses() if "held_out" in row]
    found = [scores[which]["held-out-loss"].value for which in ("start", "learned")]
    assert found == pytest.approx(recorded, rel=1e-5)
    assert list(scores["learned"]) == names and "held-out-gain" not in scores["start"]
    gain = scores["learned"]["held-out-gain"]
    assert gain.value == pytest.approx(found[0] - found[1], abs=1e-6) and gain.samples == 6
    assert gain.spread and gain.standard_error == pytest.approx(gain.spread / 6**0.5)
    difference = scores["difference"]["held-out-loss"]
    assert difference.value == pytest.approx(-gain.value) and difference.standard_error == gain.standard_error
    unpaired = scores["start"]["held-out-loss"].standard_error
    assert unpaired and gain.standard_error and gain.standard_error < unpaired / 10, "paired"
    thirds = [gain.parts[third] or 0.0 for third in ("little_noise", "middling_noise", "much_noise")]
    assert sum(thirds) / 3 == pytest.approx(gain.value, abs=1e-7)


def test_a_difference_is_paired_by_prompt_and_seed(
    pocket_model: Backbone, run: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learned concept's pictures are each a little sharper than the start's of the same prompt and seed."""
    drawn = []

    def generate(backbone: Any, prompt: Any, concepts: Any, seeds: Any, settings: Any) -> Any:
        drawn.append(prompt)
        radius = 4 * (drawn[: len(drawn)].count(prompt) == 1) + (6 if "good" in prompt else 0)
        return [mug.filter(ImageFilter.GaussianBlur(8 + 12 * seed + radius)) for seed in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, samples=3, prompts=("a photo of a {}", "a good photo of a {}"))
    found = evaluate_run(pocket_model, run, ["psnr"], protocol, truth=[mug])
    start, learned, difference = (found[which]["psnr"] for which in ("start", "learned", "difference"))
    assert difference.value == pytest.approx(learned.value - start.value) and difference.value > 0
    assert (difference.samples, difference.seeds) == (6, 3)
    assert difference.standard_error and start.standard_error
    assert difference.standard_error < start.standard_error / 2 and difference.how.startswith("paired difference over")


def test_a_run_is_measured_in_the_suite_asked_for(pocket_model: Backbone, run: Any, weight_folder: Any) -> None:  # noqa: F811
    sources = {"weights": str(weight_folder)}
    found = evaluate_run(pocket_model, run, ["sifid"], FAST, sources=sources, suite="published")
    assert list(found["start"]) == list(found["learned"]) == list(found["difference"]) == ["sifid"]
    assert "192 features" in found["learned"]["sifid"].how


def call(*words: Any) -> Any:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    args = parser.parse_args(["evaluate", *map(str, words)])
    return args.run(args)


def test_the_command_scores_runs_beside_their_starts(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "scores.json"
    options = ("--metrics", "pocket-lpips,held-out-loss", "--samples", 1, "--steps", 3, "--guidance", 2)
    result = call(run.folder, *options, "--dtype", "fp32", "--device", "cpu", "--out", out)
    table = capsys.readouterr().out
    for part in ("mug", "start", "learned", "lpips ↓", "3 prompts x 1 seed", "6 tuples"):
        assert part in table
    assert json.loads(out.read_text()) == json.loads(json.dumps(result))
    (row,) = result["runs"]
    assert row["protocol"]["settings"]["guidance"] == 2 and row["protocol"]["samples"] == 1 and row["step"] == 2
    assert (row["device"], row["dtype"], row["revision"]) == ("cpu", "float32", None)
    assert list(row["scores"]) == ["start", "learned", "difference"]
    for found in row["scores"].values():
        assert list(found) == ["pocket-lpips", "held-out-loss"]


def test_the_command_scores_an_embedding_file_with_its_photo(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--metrics", "pocket-lpips", "--samples", 1, "--steps", 3, "--json")
    result = call(run.concept_file, "--photo", pocket.view("mug"), *options)
    assert list(result["runs"][0]["scores"]) == ["learned"]
    printed = capsys.readouterr()
    assert printed.out == "" and "learned" in printed.err


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
    "truth": (("--metrics", "clip-i", "--clip", "CLIP"), ("--truth", str(pocket.view("clock")))),
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
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth are not in"):
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
