"""Several concepts in one batch of the network are what each is alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones
from photowords.backbones import Backbone, Conditioning
from photowords.concept import Concept, Word
from photowords.initializers import start
from photowords.inversion import Inversion, Lockstep, Problem, invert, together
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Words
from tests.small_models import flux

SETTINGS = InvertSettings(steps=3, batch=3, held_out=4, evaluate_every=2, optimizer="tangent", noise="antithetic")


def test_concepts_learned_together_are_those_learned_alone(tiny: Backbone, mug: Image.Image) -> None:
    asked = [("blue checkered mug", 0, mug), ("red mug", 5, mug.rotate(90))]
    problems, alone = [], []
    for text, seed, photo in asked:
        concept = start(Words(words=text), [], tiny, "it")
        settings = dataclasses.replace(SETTINGS, seed=seed)
        problems.append(Problem(tiny, concept, [photo], (), settings))
        alone.append(list(invert(tiny, concept, [photo], settings))[1:])
    inversions = [Inversion(problem) for problem in problems]
    for inversion, single in zip(inversions, alone, strict=True):
        assert inversion.begin().sample_steps == single[0].sample_steps - SETTINGS.batch
    found = list(together(inversions))
    assert [[step.index for step in steps] for steps in found] == [[1, 1], [2, 2], [3, 3]]
    for steps, *single in zip(found, *alone, strict=True):
        for one, other in zip(steps, single, strict=True):
            assert torch.allclose(one.concept.vectors("clip_l"), other.concept.vectors("clip_l"), atol=1e-6)
            assert one.loss is not None and other.loss is not None
            assert abs(one.loss - other.loss) < 1e-5 and one.sample_steps == other.sample_steps
            assert one.gradient is not None and other.gradient is not None  # no tangent step tells how long it was
            assert torch.allclose(one.gradient, other.gradient, rtol=1e-3)
            assert (one.held_out is None) == (other.held_out is None)
            if one.held_out is not None and other.held_out is not None:
                assert torch.allclose(one.held_out, other.held_out, atol=1e-5)


def test_what_fails_for_one_leaves_the_others_their_steps(
    tiny: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockstep, concept = Lockstep(), start(Words(words="red mug"), [], tiny, "it")
    one, other = (lockstep.invert(tiny, concept, [photo], SETTINGS) for photo in (mug, mug.rotate(90)))
    next(one), next(other)
    problem = [*lockstep._made][1].problem

    def full(vectors: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(problem, "held_out", full)
    found = [next(one), next(other), next(one)]
    with pytest.raises(torch.OutOfMemoryError):
        next(other)
    assert [step.index for step in (*found, *one)] == [1, 1, 2, 3]


def test_a_sentence_may_have_no_token_in_one_of_the_text_encoders(mug: Image.Image, tmp_path: Path) -> None:
    backbone = backbones.load(str(flux(tmp_path / "flux")), "cpu", "fp32")
    clip, t5 = (encoder.width for encoder in backbone.text_encoders.values())
    word = Word("\u200d", {"clip_l": torch.ones(1, clip), "t5xxl": torch.zeros(0, t5)})
    *_, last = invert(backbone, Concept("it", (word,), {"step": 0}), [mug], SETTINGS)
    assert last.concept.vectors("t5xxl").shape == (0, t5)
    assert not torch.equal(last.concept.vectors("clip_l"), word.vectors["clip_l"])


def test_pictures_of_several_prompts_are_drawn_in_one_batch(tiny: Backbone) -> None:
    how = tiny.settle(GenerateSettings(steps=2, batch=2))
    told = [tiny.encode_prompt([[text]], {}) for text in ("a red mug", "a blue mug", "mug")]
    nothing = tiny.encode_negative_prompt([], {})
    batch = tiny.sample(Conditioning.cat(told), nothing, [3, 1, 3], how)
    for row, (one, seed) in enumerate(zip(told, [3, 1, 3], strict=True)):
        assert torch.allclose(batch[row], tiny.sample(one, nothing, [seed], how)[0], atol=1e-3)
