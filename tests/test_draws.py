"""Spread draws: evenly over the run, in proportion to what a timestep says, and still equation 1's expectation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones
from photowords.backbones import Backbone
from photowords.backbones.objective import Objective
from photowords.initializers import start
from photowords.inversion import Problem
from photowords.inversion.draws import Drawn, Independent, Spread
from photowords.settings import InvertSettings
from photowords.starts import Words
from tests import small_models

UNUSED = torch.Generator()


@pytest.fixture(params=["noise", "velocity", "flow"])
def objective(request: pytest.FixtureRequest, tiny: Backbone, tiny_v: Backbone, tmp_path: Path) -> Objective:
    """What three kinds of models learned to predict."""
    if request.param == "flow":
        return backbones.load(str(small_models.FLOWS["sd3"](tmp_path / "model")), "cpu", "fp32").objective
    return {"noise": tiny, "velocity": tiny_v}[request.param].objective


def run(draws: Spread | Independent, steps: int, size: int) -> Drawn:
    """All draws of the first steps."""
    parts = zip(*(draws(UNUSED, index, size) for index in range(1, steps + 1)), strict=True)
    return Drawn(*(torch.cat(part) for part in parts))


def uniform(objective: Objective) -> Tensor:
    """Every timestep as often as training draws it."""
    return objective.timesteps((torch.arange(objective.steps, dtype=torch.float64) + 0.5) / objective.steps)


def test_the_expectation_stays_equation_1s(objective: Objective) -> None:
    drawn, every = run(Spread(objective, 7, 3), 1000, 2), uniform(objective).double()
    for function in (lambda t: t, lambda t: t**2, lambda t: (t < 300).double()):
        found = (drawn.weight.double() * function(drawn.t.double())).mean()
        assert float(found) == pytest.approx(float(function(every).mean()), rel=0.02)
    assert float(drawn.weight.mean()) == pytest.approx(1, abs=0.01)


def test_timesteps_come_as_often_as_they_are_steep_and_weigh_the_inverse(objective: Objective) -> None:
    drawn, every = run(Spread(objective, 7, 3), 1000, 2), uniform(objective)
    steep = objective.steepness(every)
    assert torch.allclose(drawn.weight * objective.steepness(drawn.t), steep.mean().expand(2000).float(), rtol=1e-4)
    middle = every.float().median()
    share = steep[every < middle].sum() / steep.sum()
    assert float((drawn.t < middle).float().mean()) == pytest.approx(float(share), abs=0.005)


def test_a_run_is_spread_however_long_it_is(objective: Objective) -> None:
    draws = Spread(objective, 7, 3)
    steep = objective.steepness(uniform(objective)).double()
    reached = steep.cumsum(0) / steep.sum()
    for steps in (5, 25, 100):
        drawn = run(draws, steps, 2)
        places = reached[torch.searchsorted(uniform(objective).float(), drawn.t.float())].sort().values
        gaps = (places - (torch.arange(len(places)) + 0.5) / len(places)).abs()
        assert gaps.max() < 3 / len(places) + 0.01, "no gap is much wider than another"
        counted = torch.bincount(drawn.prompt, minlength=7)
        assert counted.max() - counted.min() <= 1, "templates take turns"


def test_a_step_is_a_function_of_the_seed_and_its_number(objective: Objective) -> None:
    one, again, other = Spread(objective, 7, 3), Spread(objective, 7, 3), Spread(objective, 7, 4)
    whole = run(one, 9, 2)
    alone = again(UNUSED, 9, 2)
    assert torch.equal(whole.t[-2:], alone.t) and torch.equal(whole.prompt[-2:], alone.prompt)
    assert not torch.equal(run(other, 9, 2).t, whole.t)


def test_the_signals_share_is_what_the_latents_are_multiplied_by(objective: Objective) -> None:
    t = objective.timesteps(torch.tensor([0.1, 0.5, 0.9]))
    ones, none = torch.ones(3, 1, 1, 1), torch.zeros(3, 1, 1, 1)
    assert torch.allclose(objective.add_noise(ones, none, t).flatten(), objective.signal(t).float(), atol=1e-6)


def test_the_gradient_in_the_words_is_as_steep_as_the_objective_says(pocket_model: Backbone, mug: Image.Image) -> None:
    """Why spread draws say more: norms of a pair's gradient, at nine timesteps, against the objective's steepness."""
    concept = start(Words(words="teal and white checkered mug"), [mug], pocket_model, "mug")
    problem = Problem(pocket_model, concept, [mug], (), InvertSettings(held_out=9))
    rows = {name: problem.trained(name).requires_grad_() for name in concept.encoders}
    norms = []
    for one in problem.held_out_batch.split(1):
        pair = [problem.loss(problem.vectors(rows), half).sum() for half in (one, one.mirrored())]
        (gradient,) = torch.autograd.grad(pair[0] + pair[1], list(rows.values()))
        norms.append(gradient.norm())
    told = pocket_model.objective.steepness(problem.held_out_batch.t)
    measured = torch.stack(norms)
    assert measured.max() > 5 * measured.min()
    assert torch.corrcoef(torch.stack([measured.log(), told.log()]))[0, 1] > 0.9
