"""Published metrics through their real loading paths, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from photowords import pocket, pretrained
from photowords.backbones import Backbone
from photowords.concept import Concept, Word
from photowords.errors import UserError
from photowords.evaluation import DEFAULTS, Protocol, evaluate, measures, resolved, suite
from photowords.metrics import METRICS, resolve
from tests.evaluation.fast import FAST, POCKETS
from tests.small_weights import save_dino


def test_every_published_metric_runs_through_the_real_loading_paths(
    pocket_model: Backbone,
    mug_concept: Any,
    mug: Image.Image,
    clip_folder: Any,
    weight_folder: Any,
    tmp_path: Path,
) -> None:
    sources = {family: save_dino(tmp_path / family, family) for family in ("dino", "dinov2")}
    sources |= {"clip": clip_folder, "weights": str(weight_folder)}
    names = ["lpips-vgg", "lpips-alex", "sifid", "clip-reconstruction", "clip-editability", "clip-i", "clip-t"]
    names += ["clip-views", "dino", "dinov2", "psnr", "ssim", "word-swap"]
    losses = {"training-loss", "held-out-loss", "held-out-gain"}
    others = {"pocket-word-swap", "pocket-clip-i", "pocket-clip-views"}
    assert {*names, *POCKETS} | others | losses == set(METRICS)
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
    with pytest.raises(UserError, match="has no word 'dotted'; its words are teal, and"):
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


def test_the_text_of_a_swap_is_the_swap_that_is_drawn() -> None:
    words = tuple(Word(text, {"clip_l": torch.zeros(1, 2)}) for text in ("red,", "mug", "red"))
    drawn: Any = SimpleNamespace(concept=Concept("it", words), protocol=SimpleNamespace(swap="<0>=blue"))
    assert measures.swapped(drawn) == ("<0>", "blue", "blue, mug red")
    drawn.protocol.swap = "red=blue"
    with pytest.raises(UserError, match="has 'red' 2 times"):
        measures.swapped(drawn)
    drawn.protocol.swap = "<2>=blue"
    assert measures.swapped(drawn)[2] == "red, mug blue"
    drawn.protocol.swap = "mug=blue, green"
    with pytest.raises(UserError, match="the swap 'green' is not understood"):
        measures.swapped(drawn)
