"""Spread draws: even over the run however long it is, each of equation 1's distribution, and known from the seed."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image

from photowords.backbones import Backbone
from photowords.initializers import start
from photowords.inversion import Problem
from photowords.inversion.draws import Drawn, alone, spread
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests.small_models import SCHEDULE

PROMPTS = 7


def run(steps: int, size: int = 2, seed: int = 3, prompts: int = PROMPTS) -> Drawn:
    """All draws of the first steps."""
    parts = (spread(torch.Generator(), seed, index, size, prompts) for index in range(1, steps + 1))
    return Drawn(*(torch.cat(part) for part in zip(*parts, strict=True)))


def crowding(quantiles: torch.Tensor) -> float:
    """How far the share of samples below a place lies from it, at most: the discrepancy."""
    placed, count = quantiles.double().sort().values, len(quantiles)
    return float((placed - (torch.arange(count) + 0.5) / count).abs().max() + 0.5 / count)


@pytest.mark.parametrize("steps", [5, 25, 100])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_is_even_however_long_it_is(steps: int, seed: int) -> None:
    drawn = run(steps, seed=seed)
    assert crowding(drawn.quantile) < 1.5 * (2 * steps) ** -0.9
    by_themselves = [torch.rand(2 * steps, generator=torch.Generator().manual_seed(other)) for other in range(20)]
    assert crowding(drawn.quantile) < 0.8 * sum(map(crowding, by_themselves)) / 20
    counted = torch.bincount(drawn.prompt, minlength=PROMPTS)
    assert counted.max() - counted.min() <= 1, "templates take turns"


@pytest.mark.parametrize("prompts", [7, 17, 27, 81])
def test_every_template_meets_every_part_of_the_schedule(prompts: int) -> None:
    drawn = run(25 * prompts, prompts=prompts)  # 50 samples for each
    uneven = torch.tensor([crowding(drawn.quantile[drawn.prompt == prompt]) for prompt in range(prompts)])
    assert uneven.mean() < 0.14 and uneven.max() < 0.25, "as of 50 by themselves"


def test_no_template_keeps_to_a_part_of_the_schedule() -> None:
    drawn = run(500, prompts=17)  # 17 golden steps end nearly where they began
    places = [drawn.quantile[drawn.prompt == prompt].sort().values for prompt in range(17)]
    holes = [float(torch.cat([at.diff(), at[:1] + 1 - at[-1:]]).max()) for at in places]
    assert sum(holes) / 17 < 0.1, "by themselves 0.08; in one order for all turns 0.13"


def test_a_long_run_is_as_even_at_its_end() -> None:
    last = spread(torch.Generator(), 3, 100_000, 256, PROMPTS)
    assert last.quantile.dtype == torch.float64 and crowding(last.quantile) < 0.02


def test_over_seeds_each_sample_is_uniform() -> None:
    first = torch.cat([spread(torch.Generator(), seed, 9, 2, PROMPTS).quantile for seed in range(400)])
    assert crowding(first) < 0.06 and float(first.mean()) == pytest.approx(0.5, abs=0.03)


def test_a_step_is_known_from_the_seed_and_its_number() -> None:
    whole, alone_ = run(9), spread(torch.Generator().manual_seed(5), 3, 9, 2, PROMPTS)
    assert torch.equal(whole.quantile[-2:], alone_.quantile) and torch.equal(whole.prompt[-2:], alone_.prompt)
    assert not torch.equal(run(9, seed=4).quantile, whole.quantile)


def test_drawn_alone_they_are_the_steps_generators() -> None:
    one, same = (alone(torch.Generator().manual_seed(5), 3, index, 4, PROMPTS) for index in (1, 2))
    assert torch.equal(one.quantile, same.quantile) and torch.equal(one.prompt, same.prompt)


@pytest.mark.parametrize("draws", ["importance", "spread"])
def test_a_problem_draws_them(tiny: Backbone, mug: Image.Image, draws: str) -> None:
    concept = start(Words(words="blue checkered mug"), [mug], tiny, "mug")
    problem = Problem(tiny, concept, [mug], (), InvertSettings(held_out=1, batch=4, seed=3, draws=draws))
    batch = problem.draw(5)
    drawn = spread(torch.Generator(), 3, 5, 2, len(problem.prompts))
    t, weight = tiny.objective.important(drawn.quantile)
    if draws == "spread":
        t, weight = tiny.objective.timesteps(drawn.quantile), torch.ones(2)
    assert torch.equal(batch.t, t.repeat(2)) and torch.equal(batch.prompt, drawn.prompt.repeat(2))
    assert torch.allclose(batch.weight.mean(dim=(1, 2, 3)), weight.repeat(2))


def test_importance_draws_clear_timesteps_more_often_and_leaves_the_expectation(tiny: Backbone) -> None:
    steps = tiny.objective.steps
    t, weight = tiny.objective.important((torch.arange(100 * steps, dtype=torch.float64) + 0.5) / (100 * steps))
    drawn = torch.bincount(t, minlength=steps) / 100  # 1 where all are drawn alike
    share = DDIMScheduler(**SCHEDULE).alphas_cumprod.sqrt()
    assert torch.allclose(drawn, 0.5 + 0.5 * share / share.mean(), atol=0.02)
    assert drawn[0] > 1.3 and 0.5 < drawn[-1] < 0.6 and float(weight.max()) < 2
    for value in (torch.ones(steps), torch.arange(steps) / steps, (torch.arange(steps) > 900).float()):
        assert float((weight * value[t]).mean()) == pytest.approx(float(value.mean()), rel=2e-3)


def test_where_no_gradient_is_known_importance_changes_nothing(tiny_v: Backbone) -> None:
    quantiles = torch.rand(50, dtype=torch.float64)
    t, weight = tiny_v.objective.important(quantiles)
    assert torch.equal(t, tiny_v.objective.timesteps(quantiles)) and torch.equal(weight, torch.ones(50))
