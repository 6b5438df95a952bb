"""Pictures: seeds, swaps, several concepts, and the same picture from diffusers' own loader."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from photowords import backbones, formats, pocket
from photowords.backbones import Backbone
from photowords.backbones.pipeline import PipelineBackbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.generation import generate
from photowords.initializers import start
from photowords.settings import SCHEDULERS, GenerateSettings
from photowords.starts import Words

QUICK = GenerateSettings(steps=3, guidance=3.0)


def concept(backbone: Backbone, words: str, name: str = "mug", nudge: float = 0.3) -> Concept:
    """A concept whose vectors are not those of its words."""
    made = start(Words(words=words), [], backbone, name)
    torch.manual_seed(1)
    rows = {encoder: made.vectors(encoder) for encoder in made.encoders}
    return made.with_vectors({e: v + nudge * v.std() * torch.randn_like(v) for e, v in rows.items()})


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32)


@pytest.mark.parametrize("seeds", [(), (-1,), (0, 2**32), (1.5,), 3, "01", np.arange(0)])
def test_seeds_that_are_none_are_refused(seeds: Any, tiny: Backbone) -> None:
    with pytest.raises(UserError, match="there must be at least one, each a whole number from 0 to"):
        generate(tiny, "a mug", [], seeds)


def test_seeds_may_be_numpys(tiny: Backbone) -> None:
    numpys: Any = np.arange(2)
    drawn = [generate(tiny, "a mug", [], seeds, QUICK) for seeds in (numpys, [0, 1])]
    assert [one.tobytes() for one in drawn[0]] == [one.tobytes() for one in drawn[1]]


@pytest.mark.parametrize("model", ["tiny", "pocket"])
def test_diffusers_draws_the_same_picture_from_an_exported_file(model: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tiny_folder if model == "tiny" else pocket.PIPELINE
    backbone = backbones.load(str(folder), "cpu", "fp32")
    learned = concept(backbone, "blue checkered mug")
    file = tmp_path / "mug.safetensors"
    formats.write(learned, file, "diffusers")
    ours = generate(backbone, "a photo of a {mug} on the beach", [learned], [5], QUICK)[0]

    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_textual_inversion(str(file))
    theirs = pipe(
        "a photo of a <mug> on the beach",
        generator=torch.Generator().manual_seed(5),
        num_inference_steps=QUICK.steps,
        guidance_scale=QUICK.guidance,
    ).images[0]
    assert np.abs(pixels(ours) - pixels(theirs)).max() <= 1
    without = pipe(
        "a photo of a mug on the beach", generator=torch.Generator().manual_seed(5), num_inference_steps=3
    ).images[0]
    assert np.abs(pixels(ours) - pixels(without)).mean() > 0.1, "the embedding changes the picture"


def test_a_seed_gives_its_picture_whatever_else_is_drawn(tiny: Backbone) -> None:
    learned = concept(tiny, "blue mug")
    alone = generate(tiny, "{mug}", [learned], [2], QUICK)[0]
    among = generate(tiny, "{mug}", [learned], [0, 1, 2], QUICK)[2]
    split = generate(tiny, "{mug}", [learned], [0, 1, 2], dataclasses.replace(QUICK, batch=2))[2]
    assert np.abs(pixels(alone) - pixels(among)).max() <= 1
    assert np.abs(pixels(alone) - pixels(split)).max() <= 1


def test_a_swapped_word_is_the_plain_word(tiny: Backbone) -> None:
    """Swapping every word back to plain text is the plain prompt."""
    learned = concept(tiny, "blue checkered mug")
    swapped = generate(tiny, "a {mug:blue=blue,checkered=striped,mug=mug} here", [learned], [0], QUICK)[0]
    plain = generate(tiny, "a blue striped mug here", [], [0], QUICK)[0]
    kept = generate(tiny, "a {mug} here", [learned], [0], QUICK)[0]
    assert np.array_equal(pixels(swapped), pixels(plain))
    assert not np.array_equal(pixels(kept), pixels(plain))


def test_two_concepts_and_a_concept_in_the_negative_prompt(tiny: Backbone) -> None:
    mug, hat = concept(tiny, "blue mug"), concept(tiny, "red hat", "hat")
    both = generate(tiny, "{mug} and {hat}", [mug, hat], [0], QUICK)[0]
    turned = generate(tiny, "{mug} and {hat}", [hat, mug], [0], QUICK)[0]
    assert np.array_equal(pixels(both), pixels(turned)), "the order of the files does not matter"
    negative = dataclasses.replace(QUICK, negative="{hat}")
    assert not np.array_equal(pixels(generate(tiny, "{mug}", [mug, hat], [0], negative)[0]), pixels(both))


SOLVERS = {
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler-a": diffusers.EulerAncestralDiscreteScheduler,
    "dpm++": diffusers.DPMSolverMultistepScheduler,
    "pndm": diffusers.PNDMScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_draws_with_the_solver_of_its_name(tiny: Backbone, scheduler: str) -> None:
    picture = generate(tiny, "a mug", [], [0], dataclasses.replace(QUICK, scheduler=scheduler, steps=3))[0]
    assert picture.size == (64, 64) and pixels(picture).std() > 0
    assert isinstance(tiny, PipelineBackbone) and type(tiny._pipe.scheduler) is SOLVERS[scheduler]


def test_v_prediction_models_draw(tiny_v: Backbone) -> None:
    assert generate(tiny_v, "a mug", [], [0], QUICK)[0].size == (64, 64)


def test_words_and_concepts_that_do_nothing_are_warned_of(pocket_model: Backbone) -> None:
    mug = concept(pocket_model, "blue mug")
    with pytest.warns(UserWarning, match="pocket has never seen 'moon'"):
        generate(pocket_model, "{mug} on the moon", [mug], [0], QUICK)
    with pytest.warns(UserWarning, match=r"does not name \{mug\}"):
        generate(pocket_model, "a photo of a hat", [mug], [0], QUICK)


def test_two_concepts_of_one_name_are_refused(tiny: Backbone) -> None:
    with pytest.raises(UserError, match="two concepts are called mug"):
        generate(tiny, "{mug}", [concept(tiny, "mug"), concept(tiny, "red mug")], [0], QUICK)


def test_more_steps_than_the_schedule_are_refused(tiny: Backbone) -> None:
    with pytest.raises(UserError, match="`steps` is 1000, but"):
        generate(tiny, "a mug", [], [0], dataclasses.replace(QUICK, steps=1000))


def test_a_concept_for_another_model_is_refused_by_name(tiny: Backbone, tiny_v: Backbone) -> None:
    learned = concept(tiny_v, "mug")
    with pytest.raises(
        UserError, match=rf"was made for {tiny_v.name} \(numbers a token: 48 for clip_l\), but .* needs 32"
    ):
        generate(tiny, "{mug}", [learned], [0], QUICK)


def test_a_concept_for_a_model_of_the_same_width_warns(tiny: Backbone) -> None:
    made = concept(tiny, "mug")
    other = dataclasses.replace(made, provenance={**made.provenance, "fingerprint": "0", "backbone": "cousin"})
    with pytest.warns(UserWarning, match="was made for cousin"):
        generate(tiny, "{mug}", [other], [0], QUICK)


def test_a_prompt_longer_than_the_context_is_refused(tiny: Backbone) -> None:
    with pytest.raises(UserError, match="has 31 tokens, but the model's text encoder reads at most 30"):
        generate(tiny, " ".join(["mug"] * 31), [], [0], QUICK)
    assert generate(tiny, " ".join(["mug"] * 30), [], [0], QUICK)
