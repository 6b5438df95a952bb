"""The 128-pixel recipe's trainers: runs that continue, end and travel; the folders that they write."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from photowords import backbones, pocket
from photowords.generation import generate
from photowords.settings import GenerateSettings
from recipes.pocket import autoencoder, build, captioner, classifier, data, diffusion, judge, scorer, training
from recipes.pocket.training import Plan, learning_rate, train
from recipes.pocket.world import Picture, Thing

ROOT = Path(__file__).parents[1]
OPEN = Plan(steps=6, batch=16, lr=1e-2, decay_share=0.0, save_every=2, muon=0)


def fit(plan: Plan, stop_at: int | None = None, apart: bool = False) -> tuple[dict[str, Tensor], bool]:
    """Fit a small net to a linear map; ``stop_at`` raises in the loss of that step, as a kill would; ``apart``: what
    the loss is of is drawn apart from it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 2))
    calls = 0

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return error(*draw(generator, batch))

    def draw(generator: torch.Generator, batch: int) -> tuple[Tensor, ...]:
        return (torch.randn(batch, 4, generator=generator),)

    def error(x: Tensor) -> Tensor:
        return (model(x.to(training.precision())).float() - x[:, :2]).square().mean()

    return train("toy", model, error, plan, draw) if apart else train("toy", model, loss, plan)


def plan(**changes: float) -> Plan:
    return Plan(**{**vars(OPEN), **changes})


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data, "BUILD", tmp_path / "build")
    monkeypatch.setattr(training, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


@pytest.mark.parametrize("muon", [0, 1])
def test_a_killed_training_continues_to_the_same_weights(
    muon: int, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, done = fit(plan(muon=muon))
    assert done
    monkeypatch.setattr(data, "BUILD", folders / "cut")
    with pytest.raises(KeyboardInterrupt):
        fit(plan(muon=muon), stop_at=6)
    resumed, _ = fit(plan(muon=muon))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


TWO = """
import sys
from pathlib import Path
import torch
from recipes.pocket import data
from tests.test_pocket_training import fit, plan
data.BUILD = Path(sys.argv[1])
weights, done = fit(plan(muon=1, steps=int(sys.argv[2])))
torch.save(weights, sys.argv[3])
"""


def test_two_workers_share_the_steps_and_a_killed_training_of_theirs_continues(folders: Path) -> None:
    (folders / "two.py").write_text(TWO)

    def train_on_two(build: str, steps: int) -> dict[str, Tensor]:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        words = [folders / "two.py", folders / build, steps, folders / f"{build}.pt"]
        told = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
        subprocess.run([*launch, *map(str, words)], check=True, env=told, capture_output=True)
        weights: dict[str, Tensor] = torch.load(folders / f"{build}.pt", weights_only=True)
        return weights

    whole = train_on_two("whole", 4)
    train_on_two("cut", 2)
    resumed = train_on_two("cut", 4)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    files = sorted(path.name for path in (folders / "cut").iterdir())
    assert files == ["toy-moments-0.ckpt", "toy-moments-1.ckpt", "toy.ckpt"], "each keeps its own moments"


def test_timesteps_from_100_to_600_are_drawn_more_often_and_all_are_drawn() -> None:
    drawn = [diffusion.timesteps(48, torch.Generator().manual_seed(seed)) for seed in range(2000)]
    shares = torch.histc(torch.cat(drawn).float(), 10, 0, 1000) / (48 * 2000)
    expected = torch.tensor([0.05, *[0.15] * 5, *[0.05] * 4])
    assert torch.allclose(shares, expected, atol=2e-3)
    assert torch.cat(drawn).min() == 0 and torch.cat(drawn).max() == 999
    assert all(len(t) == 48 for t in drawn)


def test_out_of_minutes_means_not_done_and_to_be_continued(folders: Path) -> None:
    _, done = fit(plan(minutes=1e-9))
    assert not done
    saved = torch.load(folders / "build" / "toy.ckpt", weights_only=True)
    assert saved["step"] == 1
    assert fit(plan())[1]


def test_the_final_fall_of_the_rate_leaves_the_constant_run_as_it_is(folders: Path) -> None:
    fit(plan())
    with pytest.raises(KeyboardInterrupt):
        fit(plan(finish=4), stop_at=4)
    assert torch.load(folders / "build" / "toy-finish.ckpt", weights_only=True)["begin"] == 6
    _, done = fit(plan(finish=4))
    assert done
    assert torch.load(folders / "build" / "toy-finish.ckpt", weights_only=True)["step"] == 10
    assert torch.load(folders / "build" / "toy.ckpt", weights_only=True)["step"] == 6
    fit(plan(steps=8))
    assert training.step_of(folders / "build" / "toy.ckpt") == 8
    fit(plan(finish=4))  # of the constant run as it now stands
    assert training.step_of(folders / "build" / "toy-finish.ckpt") == 12


def test_the_rate_warms_up_stays_and_falls() -> None:
    one_shot = plan(steps=1000, lr=1.0, decay_share=0.4)
    assert learning_rate(0, one_shot) == pytest.approx(1 / 200) and learning_rate(400, one_shot) == 1.0
    assert learning_rate(800, one_shot) == pytest.approx(0.5) and learning_rate(999, one_shot) < 0.01
    constant = plan(steps=1_000_000, lr=1.0)
    assert learning_rate(999_000, constant) == 1.0
    assert learning_rate(5_000, constant, since=5_000) == pytest.approx(1 / 200)
    assert learning_rate(6_500, plan(lr=1.0, finish=1000), since=0, begin=6_000) == pytest.approx(0.5)
    timed = plan(lr=1.0, within=10, decay_share=0.5)
    assert [learning_rate(900, timed, minutes=m) for m in (2, 7.5, 11)] == [1.0, pytest.approx(0.5), 0.0]


def test_a_run_ends_within_its_minutes_and_is_done(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count()  # one passes whenever the clock is read: at the start, then in each step
    monkeypatch.setattr(training, "time", SimpleNamespace(time=lambda: next(seconds)))
    _, done = fit(plan(steps=10**6, within=0.1, decay_share=0.5, save_every=10**6))
    assert done and training.step_of(folders / "build" / "toy.ckpt") == 6


def test_the_build_runs_trainers_on_every_core_and_passes_the_minutes_on() -> None:
    line = build.command("diffusion", 2, ["--minutes", "60"])
    assert "--nproc-per-node=2" in line and line[-3:] == ["recipes.pocket.diffusion", "--minutes", "60"]
    assert "--nproc-per-node=1" not in build.command("judge", 1, [])
    assert build.command("data", 2, ["--minutes", "60"])[-2:] == ["--workers", "2"]


def test_a_part_beside_others_gets_its_share_of_the_minutes_and_takes_its_options() -> None:
    line = build.timed("judge", 8.0, "folder")
    assert line[line.index("--within") + 1] == "4.400" and line[line.index("--warm") + 1] == "folder"
    said = {word[2:].replace("-", "_") for part in build.GPU for word in build.timed(part, 8.0, "") if word[:2] == "--"}
    assert said <= set(vars(OPEN)), "every one is a trainer's option"


def test_within_refuses_what_it_would_not_heed(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--minutes", "5"], ["--batch", "8"], ["--lr", "1e-4"], ["--parts", "autoencoder"]):
        with pytest.raises(SystemExit) as stopped, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["build", "--within", "1", *words])
            build.main()
        assert stopped.value.code == 2 and "--within has batches of its own" in capsys.readouterr().err


def test_the_weights_that_travel_start_every_parameter_of_the_diffusion_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, weights = diffusion.Denoiser(), diffusion.trained(pocket.PIPELINE)
    training.warm_start(model, weights)
    assert "18.68M of 18.68M" in capsys.readouterr().out
    assert all(torch.equal(value, weights[key].float()) for key, value in model.named_parameters())


def test_the_saved_pipeline_is_an_ordinary_one_that_photowords_loads(folders: Path) -> None:
    torch.manual_seed(0)
    folder = folders / "pipeline"
    autoencoder.build().half().save_pretrained(folder / "vae")
    diffusion.save_pipeline(diffusion.Denoiser(), folder)
    backbone = backbones.load(str(folder))
    settings = GenerateSettings(steps=2, guidance=4.0, scheduler="ddim")
    one, again = (generate(backbone, "a photo of a red mug", [], [7], settings)[0] for _ in range(2))
    assert one.size == (128, 128) and one.tobytes() == again.tobytes()
    assert backbone.reconstruct(torch.zeros(1, 3, 128, 128)).shape == (1, 3, 128, 128)


def test_a_training_begun_without_graphs_goes_on_with_them(tmp_path: Path) -> None:
    def state(lr: float | Tensor, capturable: bool) -> training._State:
        weight = nn.Parameter(torch.ones(2, 2))
        weight.grad = torch.ones(2, 2)
        optimizer = torch.optim.AdamW([weight], lr=lr, capturable=capturable)
        return training._State(3, 0, None, {"a": weight.detach()}, {"a": weight.detach()}, [optimizer])

    plain = state(0.1, False)
    plain.optimizers[0].step()
    plain.save(tmp_path / "x.ckpt")
    graphed = state(torch.tensor(0.2), True)
    graphed.load(tmp_path / "x.ckpt")
    (group,) = graphed.optimizers[0].param_groups
    assert isinstance(group["lr"], Tensor) and group["capturable"] is True
    assert len(graphed.optimizers[0].state) == 1, "its moments are those that were saved"


def test_the_noise_schedule_ends_in_noise() -> None:
    alphas = diffusion.scheduler().alphas_cumprod
    assert alphas[0] > 0.999 and alphas[-1] < 3e-4


def test_parts_are_as_large_as_they_say() -> None:
    def count(model: nn.Module) -> float:
        return sum(p.numel() for p in model.parameters()) / 1e6

    assert 18 < count(diffusion.Denoiser()) < 19.5
    assert 3 < count(autoencoder.build()) < 4
    assert 1.9 < count(captioner.build()) < 2.3 and 1.3 < count(classifier.build()) < 1.6
    assert 1.0 < count(judge.Judge()) < 1.3 and 0.8 < count(scorer.Scorer()) < 2.5


def test_the_judge_reads_one_or_two_things_and_is_told_apart_hues() -> None:
    torch.manual_seed(0)
    readings = judge.Judge().eval().read(torch.zeros(3, 3, 128, 128))
    assert len(readings) == 3 and all(1 <= len(reading.things) <= 2 for reading in readings)
    assert judge.near(0.0, 355.0) and not judge.near(0.0, 330.0)
    assert judge.near("black", "black") and not judge.near("black", 0.0)


def test_the_captioners_words_are_read_back() -> None:
    things = Thing("teddy bear", 0.0, "striped", "white"), Thing("cup", "black", "two-tone", 330.0)
    picture = Picture(things)
    said = captioner.sentence_of(picture.things)
    assert said == "a red and white striped teddy bear and a black cup with a pink base"
    read = captioner.read_attributes(captioner.sentence_of(things[1:]))
    assert read == {"object": "cup", "colour": "black", "look": "base", "second colour": "pink"}
