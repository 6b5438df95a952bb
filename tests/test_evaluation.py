"""evaluate(): what is sampled, what is recorded, what is refused; and the command that shows it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil

import pytest
import torch
from PIL import ImageFilter
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from photowords import formats, images, pocket
from photowords.cli import evaluate as command
from photowords.errors import UserError
from photowords.evaluation import Protocol, default_metrics, evaluate, evaluate_run, measures
from photowords.initializers import Hint, start
from photowords.inversion import Run, invert
from photowords.metrics import METRICS
from photowords.settings import GenerateSettings, InvertSettings
from tests.test_metrics import save_dino, weight_folder  # noqa: F401

FAST = Protocol(samples=2, settings=GenerateSettings(steps=4), edits=("a photo of a {} in the snow",))
POCKETS = ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction", "pocket-clip-editability")


def concept_of(backbone, text, name="it"):
    return start("words", [], backbone, Hint(words=text), name)


@pytest.fixture(scope="module")
def mug_concept(pocket_model):
    return concept_of(pocket_model, "teal and white checkered mug")


@pytest.fixture(scope="module")
def run(pocket_model, mug_concept, tmp_path_factory):
    """Two real steps on the mug's photo."""
    folder = tmp_path_factory.mktemp("runs") / "mug"
    settings = InvertSettings(steps=2, batch=1, held_out=6, evaluate_every=2)
    photo = images.load_photo(pocket.view("mug"))
    made = Run.create(folder, settings, {"model": "pocket", "sentence": mug_concept.sentence}, [photo], mug_concept)
    for step in invert(pocket_model, mug_concept, [photo], settings):
        made.record(step)
    return made


# --- evaluate ---


def test_scores_are_recorded_with_their_protocol(pocket_model, mug_concept, mug):
    metrics = default_metrics(pocket_model)
    assert metrics == POCKETS
    scores = evaluate(pocket_model, mug_concept, [mug], metrics, FAST)
    assert tuple(scores) == metrics
    for name, score in scores.items():
        assert score.direction == METRICS[name].direction and score.samples == 2 and score.spread >= 0
        assert "seeds 0 to 1, 4 steps, guidance 5, scheduler default" in score.how
        prompt = FAST.edits[0] if name.endswith("editability") else FAST.prompt
        assert f'"{prompt}"' in score.how and score.how.split("; ")[1]
    json.loads(json.dumps({name: dataclasses.asdict(score) for name, score in scores.items()}, allow_nan=False))
    assert evaluate(pocket_model, mug_concept, [mug], metrics[::-1], FAST) == scores
    one = evaluate(pocket_model, mug_concept, [mug], ["pocket-lpips"], dataclasses.replace(FAST, samples=1))
    assert one["pocket-lpips"].spread is None and "seeds 0 to 0" in one["pocket-lpips"].how


def test_the_words_of_the_photo_score_better_than_others(pocket_model, mug_concept, mug):
    other = concept_of(pocket_model, "purple striped guitar")
    metrics = ["pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction"]
    protocol = dataclasses.replace(FAST, samples=3, settings=GenerateSettings(steps=8))
    right, wrong = (evaluate(pocket_model, concept, [mug], metrics, protocol) for concept in (mug_concept, other))
    for name in metrics:
        sign = 1 if METRICS[name].direction == "higher" else -1
        assert sign * right[name].value > sign * wrong[name].value, name


def test_each_prompt_is_sampled_once_for_all_metrics(pocket_model, mug_concept, mug, monkeypatch):
    drawn = []

    def generate(backbone, prompt, concepts, seeds, settings):
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
    assert scores["pocket-lpips"].value * 2 == pytest.approx(scores["pocket-lpips"].spread * 2**0.5, rel=1e-4)
    assert 0.5 < scores["ssim"].value < 1 and scores["pocket-clip-reconstruction"].value > 0.9


def test_all_pairs_of_photos_and_pictures_count(pocket_model, mug_concept, mug):
    clock = images.load_photo(pocket.view("clock"))
    names = ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction")
    one, other, both = (
        evaluate(pocket_model, mug_concept, photos, names, FAST) for photos in ([mug], [clock], [clock, mug])
    )
    for name in names:
        assert both[name].value == pytest.approx((one[name].value + other[name].value) / 2, rel=1e-4)


# --- published names and weights ---


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
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
    pocket_model,
    mug_concept,
    mug,
    clip_folder,
    weight_folder,  # noqa: F811
    tmp_path,
):
    sources = {family: save_dino(tmp_path / family, family) for family in ("dino", "dinov2")}
    sources |= {"clip": clip_folder, "weights": str(weight_folder)}
    names = ["lpips-vgg", "lpips-alex", "sifid", "clip-reconstruction", "clip-editability", "clip-i", "clip-t"]
    names += ["dino", "dinov2", "psnr", "ssim", "word-swap"]
    assert {*names, *POCKETS, "pocket-word-swap", "held-out-loss", "held-out-gain"} == set(METRICS)
    protocol = dataclasses.replace(FAST, swap="mug=cat", class_word="mug")
    scores = evaluate(pocket_model, mug_concept, [mug], names, protocol, [mug], sources)
    assert list(scores) == names
    assert all(torch.tensor(score.value).isfinite() for score in scores.values())
    assert "vgg16-397923af.pth" in scores["lpips-vgg"].how and "alexnet-owt-7be5be79.safetensors" in (
        scores["lpips-alex"].how
    )
    assert "before the second pooling" in scores["sifid"].how and "'mug' for the concept" in scores["clip-t"].how
    digest = images.sha256(f"{clip_folder}/model.safetensors")[:8]
    assert digest in scores["clip-reconstruction"].how and "the true views" in scores["clip-i"].how
    assert scores["clip-t"].value != scores["clip-editability"].value


@pytest.mark.parametrize("name", ["clip-reconstruction", "clip-editability", "clip-i", "clip-t", "word-swap"])
def test_the_pockets_clip_never_gives_a_published_score(pocket_model, mug_concept, mug, name, tmp_path):
    copied = shutil.copytree(pocket.CLIP, tmp_path / "openai-clip")
    protocol = dataclasses.replace(FAST, swap="mug=cat")
    for sources in ({}, {"clip": str(copied)}):
        with pytest.raises(UserError, match="never under a published name; give a published CLIP with --clip"):
            evaluate(pocket_model, mug_concept, [mug], [name], protocol, sources=sources)


def test_other_models_are_measured_with_published_metrics(tiny):
    assert default_metrics(tiny) == ("lpips-vgg", "sifid", "clip-reconstruction", "clip-editability")


# --- refusals, all before anything is sampled ---


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("lpips", "metric 'lpips' is unknown; choose from held-out-loss"),
        ("held-out-loss", "is a metric of a run; evaluate the run's folder"),
        ("psnr", "none was given; add them with --truth"),
        ("pocket-word-swap", "give it as --swap OLD=NEW"),
        ("lpips-vgg", r"vgg16-397923af\.pth are not in"),
        ("dino", "the dino model '.*nowhere' cannot be loaded"),
    ],
)
def test_what_cannot_be_measured_is_said_before_sampling(
    pocket_model, mug_concept, mug, monkeypatch, metric, sentence, tmp_path
):
    monkeypatch.setattr(measures, "generate", lambda *_: pytest.fail("sampled"))
    sources = {"weights": str(tmp_path), "dino": str(tmp_path / "nowhere")}
    with pytest.raises(UserError, match=sentence):
        evaluate(pocket_model, mug_concept, [mug], ["pocket-lpips", metric], FAST, sources=sources)


def test_a_swap_of_a_word_that_is_not_there_and_no_photo(pocket_model, mug_concept, mug):
    with pytest.raises(UserError, match="'teal and white checkered mug', which has no 'dotted'"):
        evaluate(pocket_model, mug_concept, [mug], ["pocket-word-swap"], dataclasses.replace(FAST, swap="dotted=plain"))
    with pytest.raises(UserError, match="no photo to compare the pictures of it with"):
        evaluate(pocket_model, mug_concept, [], ["pocket-lpips"], FAST)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"prompt": "a photo"}, "must have one {}"),
        ({"edits": ("a {} and a {}",)}, "must have one {}"),
        ({"edits": ()}, "no edit prompt"),
    ],
)
def test_a_protocol_is_checked(change, sentence):
    with pytest.raises(UserError, match=sentence):
        Protocol(**change)


def test_the_default_prompts_are_in_the_pockets_words(pocket_model):
    object_, style = Protocol(), Protocol.of_kind("style")
    assert object_ == Protocol.of_kind("object") and "style" in style.prompt
    assert not pocket_model.unknown_words(" ".join((object_.prompt, *object_.edits)).replace("{}", ""))


# --- runs ---


def test_a_runs_held_out_loss_is_the_loops_own(pocket_model, run):
    names = ["held-out-gain", "held-out-loss"]
    scores = evaluate_run(pocket_model, run, names)
    recorded = [row["held_out"] for row in run.losses() if "held_out" in row]
    found = [scores[which]["held-out-loss"].value for which in ("start", "learned")]
    assert found == pytest.approx(recorded, rel=1e-5)
    assert list(scores["learned"]) == names and "held-out-gain" not in scores["start"]
    gain = scores["learned"]["held-out-gain"]
    assert gain.value == pytest.approx(found[0] - found[1], abs=1e-6) and gain.samples == 6
    assert gain.parts["standard_error"] == pytest.approx(gain.spread / 6**0.5)
    thirds = [gain.parts[third] for third in ("little_noise", "middling_noise", "much_noise")]
    assert sum(thirds) / 3 == pytest.approx(gain.value, abs=1e-7)


def call(*words):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    args = parser.parse_args(["evaluate", *map(str, words)])
    return args.run(args)


def test_the_command_scores_runs_beside_their_starts(run, tmp_path, capsys):
    out = tmp_path / "new" / "scores.json"
    options = ("--metrics", "pocket-lpips,held-out-loss", "--samples", 1, "--steps", 3, "--guidance", 2)
    result = call(run.folder, *options, "--dtype", "fp32", "--device", "cpu", "--out", out)
    table = capsys.readouterr().out
    for part in ("mug", "start", "learned", "lpips ↓"):
        assert part in table
    assert json.loads(out.read_text()) == json.loads(json.dumps(result))
    (row,) = result["runs"]
    assert row["protocol"]["settings"]["guidance"] == 2 and row["protocol"]["samples"] == 1 and row["step"] == 2
    assert list(row["scores"]) == ["start", "learned"]
    for scores in row["scores"].values():
        assert list(scores) == ["pocket-lpips", "held-out-loss"]


def test_the_command_scores_an_embedding_file_with_its_photo(run, capsys):
    options = ("--metrics", "pocket-lpips", "--samples", 1, "--steps", 3, "--json")
    result = call(run.concept_file, "--photo", pocket.view("mug"), *options)
    assert list(result["runs"][0]["scores"]) == ["learned"]
    printed = capsys.readouterr()
    assert printed.out == "" and "learned" in printed.err


def test_a_run_of_any_name_is_shown(run, tmp_path, capsys):
    shutil.copytree(run.folder, tmp_path / "[red] :cat: []")
    call(tmp_path / "[red] :cat: []", "--metrics", "held-out-loss", "--dtype", "fp32", "--device", "cpu")
    assert "[red] :cat: []" in capsys.readouterr().out


def test_what_json_has_no_number_for_is_null(run, tmp_path, capsys, monkeypatch):
    # The PSNR of identical pictures is infinite.
    monkeypatch.setattr(measures, "generate", lambda backbone, *_: [images.load_photo(pocket.view("mug"))])
    out = tmp_path / "scores.json"
    words = ("--metrics", "psnr", "--samples", 1, "--photo", pocket.view("mug"), "--truth", pocket.view("mug"))
    result = call(run.concept_file, *words, "--out", out)
    assert result["runs"][0]["scores"]["learned"]["psnr"]["value"] is None and "inf" in capsys.readouterr().out
    assert json.loads(out.read_text(), parse_constant=pytest.fail) == json.loads(json.dumps(result, allow_nan=False))


def test_the_command_lists_every_metric(capsys):
    result = call("--list")
    shown = capsys.readouterr().out
    assert all(f"{name}  {metric.direction} is better" in shown for name, metric in METRICS.items())
    assert set(result["metrics"]) == set(METRICS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no run was given"),
        (("RUN", "--metrics", "fid"), "metric 'fid' is unknown"),
        (("RUN/concept.safetensors",), "is not a run folder; name the photo it was learned from with --photo"),
        (("RUN", "--photo", "x.png"), "--photo goes with an embedding file"),
        (("RUN", "nowhere"), "nowhere does not exist"),
        (("RUN", "--samples", "0"), "samples is 0"),
        (("RUN", "--out", "RUN"), "is a folder; name a file, such as"),
        (("RUN", "--truth", "nowhere.png"), r"nowhere\.png does not exist"),
    ],
)
def test_the_command_refuses_in_one_sentence(run, words, sentence):
    with pytest.raises(UserError, match=sentence):
        call(*(word.replace("RUN", str(run.folder)) for word in words))


def test_a_folder_that_is_no_run(tmp_path, mug_concept):
    formats.write(mug_concept, tmp_path / "concept.safetensors", "photowords")
    with pytest.raises(UserError, match="is not a run of photowords"):
        call(tmp_path)
