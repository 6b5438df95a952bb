"""Reads a study's folder: its plan and the trials that are finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from photowords.errors import UserError
from photowords.metrics import METRICS, resolve
from photowords.report.statistics import Key

PLAN = "plan.json"
NAN = float("nan")
WINDOW = 25
"""Steps over which a training loss is averaged, at least: one step draws few timesteps, and its loss is their luck."""
SMOOTHED = f"mean of the last {WINDOW} steps or 10 %"
"""How figures say it: later on the window is the last tenth of the steps, which looks equally wide on a log axis."""


@dataclass(frozen=True)
class Checkpoint:
    """What was measured after ``step`` steps.

    Attributes:
        training_sample_steps: predictions trained on until then (steps x batch), without those of evaluations.
        values: metric -> value; only what was measured there.
    """

    step: int
    training_sample_steps: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class TrialResult:
    """One finished trial: one concept, one arm, one seed. ``sha256`` is of its file."""

    id: str
    spec: Mapping[str, Any]
    concept: str
    arm: str
    seed: int
    sentence: str
    placeholders: int
    label: str | None
    caption: str | None
    training_loss: Sequence[float]
    checkpoints: Mapping[int, Checkpoint]
    how: Mapping[str, str]
    diverged: str | None
    picture_prompts: Sequence[str]
    pictures_at: Sequence[int]
    sha256: str

    @property
    def batch(self) -> float:
        """Predictions a step."""
        if told := self.spec.get("settings", {}).get("batch"):
            return float(told)
        return max((c.training_sample_steps / c.step for c in self.checkpoints.values() if c.step), default=1)

    def value(self, metric: str, step: int) -> float | None:
        """A metric after so many steps (training losses ``SMOOTHED``); None where it was not measured."""
        if metric == "training-loss":
            window = (
                self.training_loss[max(0, step - max(WINDOW, step // 10)) : step]
                if step <= len(self.training_loss)
                else ()
            )
            return fmean(window) if window and isfinite(sum(window)) else None
        return self.checkpoints[step].values.get(metric) if step in self.checkpoints else None

    def steps(self, metric: str) -> list[int]:
        """Where ``value`` is a number, ascending."""
        if metric == "training-loss":
            return [step for step in range(1, len(self.training_loss) + 1) if isfinite(self.training_loss[step - 1])]
        return sorted(step for step, checkpoint in self.checkpoints.items() if metric in checkpoint.values)


@dataclass(frozen=True)
class ArmLabel:
    """An arm by its place in the plan, which decides its colour everywhere."""

    number: int
    name: str
    label: str


@dataclass(frozen=True)
class Results:
    """A study as far as it has come. ``trials`` are the finished ones, in the plan's order."""

    folder: Path
    plan: Mapping[str, Any]
    planned: tuple[str, ...]
    concepts: tuple[str, ...]
    arms: tuple[ArmLabel, ...]
    trials: tuple[TrialResult, ...]

    @property
    def missing(self) -> list[str]:
        """Ids of trials that are planned and not finished."""
        finished = {trial.id for trial in self.trials}
        return [id_ for id_ in self.planned if id_ not in finished]

    def of(self, arm: str) -> dict[Key, TrialResult]:
        """An arm's finished trials by (concept, seed)."""
        return {(trial.concept, trial.seed): trial for trial in self.trials if trial.arm == arm}

    def of_concept(self, concept: str) -> list[TrialResult]:
        """A concept's finished trials, in the plan's order."""
        return [trial for trial in self.trials if trial.concept == concept]

    def kept_pictures(self) -> dict[tuple[str, int, str], str]:
        """The strips that are there: (trial, step, prompt) -> the file, within the study's folder."""
        places = {
            (trial.id, step, prompt): picture_file(trial.id, step, number)
            for trial in self.trials
            for step in trial.pictures_at
            for number, prompt in enumerate(trial.picture_prompts)
        }
        return {place: file for place, file in places.items() if (self.folder / file).is_file()}

    def values(self, arm: str, metric: str, step: int) -> dict[Key, float]:
        """A metric of an arm's trials after so many steps, where it was measured."""
        found = {key: trial.value(metric, step) for key, trial in self.of(arm).items()}
        return {key: value for key, value in found.items() if value is not None}

    def ids(self, arm: str, keys: Sequence[Key] | Mapping[Key, Any]) -> tuple[str, ...]:
        """The trials behind some of an arm's values."""
        trials = self.of(arm)
        return tuple(trials[key].id for key in keys)

    def steps(self, metric: str, arm: str | None = None) -> list[int]:
        """The steps at which any trial (of the arm) has the metric, ascending."""
        trials = self.trials if arm is None else tuple(self.of(arm).values())
        return sorted({step for trial in trials for step in trial.steps(metric)})

    @property
    def metrics(self) -> list[str]:
        """Every metric that a finished trial has, losses first."""
        scored = {name for trial in self.trials for c in trial.checkpoints.values() for name in c.values}
        losses = ["training-loss", "held-out-loss", "held-out-gain"]
        return losses + sorted(scored - set(losses))

    def metric(self, name: str) -> str:
        """A metric's name as the trials have it: "lpips" is "pocket-lpips" on the pocket, "lpips-vgg" elsewhere."""
        return resolve(name, self.plan.get("suite", "published")).name

    def direction(self, metric: str) -> str:
        """ "lower" or "higher": which is better."""
        return METRICS[metric].direction

    def how(self, metric: str) -> str:
        """How the metric was measured, in a sentence, or in several where trials differ."""
        told = dict.fromkeys(trial.how[metric] for trial in self.trials if metric in trial.how)
        return "; in other trials ".join(told) or METRICS[metric].protocol


def picture_file(trial: str, step: int, prompt: int) -> str:
    """Where a trial's strip of its prompt number ``prompt`` after a step lies within the study's folder."""
    return f"pictures/{trial}/step_{step:06d}_{prompt}.png"


def read(folder: Path | str) -> Results:
    """Read a study's folder, finished or not.

    Raises UserError: the folder is no study's, or the plan or a trial's file (named) is damaged.
    """
    folder = Path(folder)
    file = folder / PLAN
    if not file.is_file():
        raise UserError(
            f"{folder} is not a study's folder (it has no {PLAN}); give the one that the study was run into"
        )
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
        planned = tuple(str(trial["id"] if isinstance(trial, dict) else trial) for trial in plan["trials"])
        labels = [arm.get("label") or arm["name"] for arm in plan["arms"]]
        # Rows go by their label, so two arms of one label go by their names as well.
        labels = [
            label if labels.count(label) == 1 else f"{label} ({arm['name']})"
            for label, arm in zip(labels, plan["arms"], strict=True)
        ]
        arms = tuple(ArmLabel(n, arm["name"], labels[n]) for n, arm in enumerate(plan["arms"]))
        concepts = tuple(str(c["name"] if isinstance(c, dict) else c) for c in plan["concepts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is damaged; run the study again into a new folder") from error
    files_ = [folder / "trials" / f"{id_}.json" for id_ in planned]
    return Results(folder, plan, planned, concepts, arms, tuple(_trial(file) for file in files_ if file.exists()))


def _trial(file: Path) -> TrialResult:
    try:
        data = file.read_bytes()
        table = json.loads(data)
        if table["id"] != file.stem:
            raise ValueError("the id is another file's")
        return TrialResult(
            id=table["id"],
            spec=dict(table["spec"]),
            concept=table["concept"],
            arm=table["arm"],
            seed=int(table["seed"]),
            sentence=str(table["sentence"]),
            placeholders=int(table["placeholders"]),
            label=table["class"],
            caption=table["caption"],
            training_loss=[NAN if loss is None else float(loss) for loss in table["training_loss"]],
            checkpoints={int(point["step"]): _checkpoint(point) for point in table["checkpoints"]},
            how=dict(table["how"]),
            diverged=table["diverged"],
            picture_prompts=[str(prompt) for prompt in table["picture_prompts"]],
            pictures_at=[int(step) for step in table["pictures_at"]],
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file} is damaged; delete it and run the study again, which redoes only this trial"
        ) from error


def _checkpoint(point: Mapping[str, Any]) -> Checkpoint:
    found = {name: score["value"] for name, score in point["scores"].items()}
    found["held-out-loss"] = point["held_out"]["mean"]
    if (change := point["held_out"]["difference"]) is not None:
        found["held-out-gain"] = -change
    values = {name: float(value) for name, value in found.items() if value is not None and isfinite(value)}
    return Checkpoint(int(point["step"]), int(point["training_sample_steps"]), values)
