"""What decides on a step: the rate, and the rule's parts, each against its definition."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones, formats
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.initializers import start
from photowords.inversion import Problem, Rule, invert, rates
from photowords.inversion.rule import AdamW, Tangent, antithetic, important, learned
from photowords.learning import learn
from photowords.settings import InvertSettings
from photowords.starts import Words
from recipes.pocket import scaled
from tests import small_models

FEW = InvertSettings(steps=4, batch=2, held_out=4, evaluate_every=4)
KINDS = {
    "paper": {"optimizer": "adamw", "noise": "independent", "average": "none", "weight_decay": 0.1},
    "adamw": {"optimizer": "adamw", "noise": "antithetic", "average": "running"},
    "fast": {"optimizer": "tangent", "noise": "antithetic", "draws": "importance", "average": "running"},
}


def mug_start(backbone: Backbone) -> Concept:
    return start(Words(words="blue checkered mug"), [], backbone, "mug")


def slopes(count: int = 6) -> Tensor:
    return torch.randn(count, 3, 8, generator=torch.Generator().manual_seed(1))


def test_adamw_is_pytorchs() -> None:
    rows, ours = torch.ones(3, 8), AdamW(weight_decay=0.1)
    theirs = torch.ones(3, 8, requires_grad=True)
    optimizer = torch.optim.AdamW([theirs], 0.02, weight_decay=0.1)
    state: dict[str, Tensor] = {"rows": rows}
    for index, slope in enumerate(slopes(), 1):
        state = ours(state, slope, 0.1, 0.2, index)  # lr = rho x size
        theirs.grad = slope
        optimizer.step()
    assert torch.allclose(state["rows"], theirs, atol=1e-6)


def test_a_tangent_step_turns_each_vector_by_rho_down_the_slope_and_keeps_its_length() -> None:
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.1], [1.0], [10.0]])
    (slope,) = slopes(1)
    moved = Tangent()({"rows": rows}, slope, 0.16, 1.0, 1)["rows"]
    assert torch.allclose(moved.norm(dim=1), rows.norm(dim=1), rtol=1e-5)
    angle = torch.nn.functional.cosine_similarity(moved, rows).acos()
    assert torch.allclose(angle, torch.full((3,), 0.16), atol=1e-3)
    assert (((moved - rows) * slope).sum(1) < 0).all()
    still = Tangent()({"rows": rows}, torch.zeros(3, 8), 0.16, 1.0, 1)["rows"]
    assert torch.allclose(still, rows, rtol=1e-6), "no slope, no step"


def test_the_default_rule_averages_by_the_cube_and_steps_from_near_the_average() -> None:
    fast = Rule.of(InvertSettings())
    assert (fast.average, fast.towards, fast.noise, fast.timesteps) == (3.0, 0.8, antithetic, important)
    assert isinstance(fast.optimizer, Tangent)


def test_the_running_average_weighs_a_step_by_about_its_numbers_cube() -> None:
    rule, state = Rule(average=3.0), {"rows": torch.ones(3, 8)}
    seen, weights = [], []
    for index, slope in enumerate(slopes(), 1):
        state = dict(rule.step(state, slope, 0.1, 1.0, index))
        seen.append(state["rows"])
        weights.append(index * (index + 1) * (index + 2))
        whole = torch.tensor(weights, dtype=torch.float32) @ torch.stack(seen).flatten(1) / sum(weights)
        assert torch.allclose(learned(state).flatten(), whole, atol=1e-6)
    assert torch.equal(learned(Rule().step(state, slope, 0.1, 1.0, 7)), Rule().step(state, slope, 0.1, 1.0, 7)["rows"])


def test_what_tangent_steps_leave_has_the_lengths_that_it_began_with() -> None:
    rule, rows = Rule.of(InvertSettings()), torch.randn(3, 8)
    state: dict[str, Any] = {"rows": rows}
    for index, slope in enumerate(slopes(), 1):
        state = dict(rule.step(state, slope, 0.5, 1.0, index))
    assert torch.allclose(learned(state).norm(dim=1), rows.norm(dim=1), rtol=1e-5)
    stepped, taken, average = state["stepped"], state["rows"], learned(state)
    assert torch.nn.functional.cosine_similarity(average, stepped).max() < 0.999, "an average all the same"
    mixed = 0.2 * stepped + 0.8 * average
    assert torch.allclose(taken, mixed * rows.norm(dim=1, keepdim=True) / mixed.norm(dim=1, keepdim=True), atol=1e-5)


def test_a_step_goes_on_from_the_last_one_and_not_from_where_its_gradient_was_taken() -> None:
    """With gradients of one direction, steps add up; started from nearer to the average, they would not."""
    rule, state = Rule(AdamW(), average=3.0, towards=0.8), {"rows": torch.zeros(3, 8)}
    for index in range(1, 6):
        state = dict(rule.step(state, torch.ones(3, 8), 0.1, 1.0, index))
    assert torch.allclose(state["stepped"], torch.full((3, 8), -0.5), atol=1e-4)
    assert (state["rows"] > state["stepped"] + 0.05).all() and (state["rows"] < learned(state) + 1e-6).all()


@pytest.mark.parametrize("size", [1, 4, 5])
def test_antithetic_pairs_are_noise_and_its_negative_of_one_sample(size: int, tiny: Backbone, mug: Image.Image) -> None:
    problem = Problem(tiny, mug_start(tiny), [mug], (), dataclasses.replace(FEW, batch=size, noise="antithetic"))
    assert problem.rule.noise is antithetic
    batch, half = problem.draw(1), (size + 1) // 2
    assert len(batch.t) == size
    for name in ("latents", "t", "prompt"):
        first, second = getattr(batch, name).split(half)[0], getattr(batch, name)[half:]
        assert torch.equal(first[: len(second)], second), name
    assert torch.equal(batch.noise[: size - half], -batch.noise[half:])


@pytest.mark.parametrize("told", KINDS.values(), ids=KINDS)
def test_every_rule_goes_on_to_the_same_bits(told: dict[str, object], tiny: Backbone, mug: Image.Image) -> None:
    settings = dataclasses.replace(FEW, **told)  # type: ignore[arg-type]
    concept = mug_start(tiny)
    concept = dataclasses.replace(
        concept, words=(dataclasses.replace(concept.words[0], trainable=False), *concept.words[1:])
    )
    whole = list(invert(tiny, concept, [mug], settings))
    again = list(invert(tiny, concept, [mug], settings, resume=whole[2]))
    assert [step.index for step in again] == [3, 4]
    assert torch.equal(again[-1].concept.vectors("clip_l"), whole[-1].concept.vectors("clip_l"))
    assert all(torch.equal(again[-1].state[key], value) for key, value in whole[-1].state.items())
    moved = (whole[-1].concept.vectors("clip_l") - concept.vectors("clip_l")).norm(dim=1)
    assert moved[0] == 0 and (moved[1:] > 1e-3).all()


def test_weight_decay_is_adamws() -> None:
    with pytest.raises(
        UserError, match="`weight_decay` is AdamW's, and `optimizer` tangent keeps every vector's length"
    ):
        InvertSettings(weight_decay=0.1)
    assert InvertSettings(optimizer="adamw", weight_decay=0.1).rho == 0.22


def test_a_concept_tells_its_rates(tiny: Backbone, mug: Image.Image, tmp_path: Path) -> None:
    mug.save(tmp_path / "mug.png")
    learn(tiny, [tmp_path / "mug.png"], tmp_path / "run", Words(words="blue mug"), "mug", FEW, 0)
    (rates,) = formats.read(tmp_path / "run").provenance["rates"].values()
    assert rates["rho"] == 0.3


# --- the rate ---


def test_every_text_encoder_is_stepped_at_a_rate_of_its_own(tmp_path: Path, mug: Image.Image) -> None:
    backbone = backbones.load(str(small_models.flux(tmp_path / "flux")), "cpu", "fp32")
    concept = mug_start(backbone)
    settings = dataclasses.replace(FEW, steps=1, optimizer="adamw", average="none", lr="rho:0.1")
    *_, last = invert(backbone, concept, [mug], settings)
    sizes = [backbone.word_size(encoder) for encoder in concept.encoders]
    assert max(sizes) > 2 * min(sizes)
    for encoder, size in zip(concept.encoders, sizes, strict=True):
        moved = (last.concept.vectors(encoder) - concept.vectors(encoder)).abs()
        assert moved.median().item() == pytest.approx(0.1 * size, rel=0.05), encoder


def test_the_pockets_rate_is_that_of_the_words_it_has_seen(pocket_model: Backbone) -> None:
    (rate,) = rates(InvertSettings(optimizer="adamw"), pocket_model).values()
    assert rate.told == {"rho": 0.22, "lr": pytest.approx(0.0308, abs=2e-4)}
    table = pocket_model.text_encoders["clip_l"].table
    assert table.square().mean(1).sqrt().median() < 0.5 * rate.size, "most rows were never trained"
    (absolute,) = rates(InvertSettings(lr=0.02), pocket_model).values()
    assert absolute.rho * absolute.size == pytest.approx(0.02)


@pytest.mark.parametrize("told", KINDS.values(), ids=KINDS)
def test_a_model_of_other_word_lengths_learns_the_same(
    told: dict[str, object], tmp_path: Path, pocket_model: Backbone, mug: Image.Image
) -> None:
    """The scaled pockets are the same function of the words, so that they have the same curve at a relative rate."""
    settings = dataclasses.replace(FEW, batch=4, held_out=24, evaluate_every=2, **(told | {"weight_decay": 0.0}))  # type: ignore[arg-type]
    curves = []
    for scale in (0.166, 1.0, 4.0):
        scaled.save(tmp_path / f"{scale}", scale)
        model = backbones.load(str(tmp_path / f"{scale}"), "cpu", "fp32")
        steps = list(invert(model, mug_start(model), [mug], settings))
        curves.append([float(step.held_out.mean()) for step in steps if step.held_out is not None])
    first = curves[1]
    assert first[-1] < first[0]
    for other in (curves[0], curves[2]):
        assert other == pytest.approx(first, abs=0.02 * (first[0] - first[-1]))


@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_a_first_step_gives_nothing_of_the_start_back(family: str, tmp_path: Path, mug: Image.Image) -> None:
    """Mean over seeds, since one step on four samples of a random network may go either way."""
    model = backbones.load(str(small_models.FAMILIES[family](tmp_path / "model")), "cpu", "fp32")
    settings = InvertSettings(steps=1, held_out=64)
    after = 0.0
    for seed in range(6):
        first, last = invert(model, mug_start(model), [mug], dataclasses.replace(settings, seed=seed))
        assert first.held_out is not None and last.held_out is not None
        before, after = float(first.held_out.mean()), after + float(last.held_out.mean()) / 6
    concept = start("star", [], model, "mug")
    star = float(Problem(model, concept, [mug], (), settings).held_out(vectors_of(concept)).mean())
    assert after - before <= 0.1 * abs(star - before)


def vectors_of(concept: Concept) -> dict[str, Tensor]:
    return {name: concept.vectors(name) for name in concept.encoders}
