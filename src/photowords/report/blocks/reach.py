"""The sample-steps that each arm needs to get where the reference arm ends, as in the paper's claim of speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from photowords.report import figures, statistics
from photowords.report.alike import left_out, split
from photowords.report.blocks.block import ArmName, Block, MetricName
from photowords.report.document import Drawing, Part, Record, Section, Table
from photowords.report.figures import Strip
from photowords.report.results import WINDOW, ArmLabel, Results, TrialResult
from photowords.report.wording import Row, absent, called, cost, limits, named_arm, ratio

HELD_OUT = MetricName("held-out-loss")


@dataclass(frozen=True, kw_only=True)
class Reach(Block):
    """Cost to where the ``reference`` ends: a figure and a table."""

    kind: ClassVar[str] = "reach"

    reference: ArmName
    metric: MetricName = HELD_OUT

    def make(self, results: Results, name: str) -> Section:
        metric = results.metric(self.metric)
        reference = named_arm(results, self.reference)
        goal = f"{called(metric)} where {reference.label} ends"
        rows: list[Record] = []
        body, strips = [], []
        sources: dict[str, tuple[str, ...]] = {}
        arms, others = split(results, reference, self.chosen(results), metric)
        for arm in arms:
            found = [_reached(results, arm, reference, metric, concept) for concept in results.concepts]
            if reached := [row for row in found if row]:
                rows += reached
                cells, strip = _summary(arm, reached, arm == reference)
                body.append(cells)
                strips.append(strip)
                sources[arm.label] = tuple(dict.fromkeys(id_ for row in reached for id_ in row["ids"].split()))
        if not rows:
            where = f" for one concept and seed in both {reference.label} and another arm"
            return Section(self.heading, [absent(metric, where)])
        table = Table(
            f"Training sample-steps to the {goal}: {HOW}",
            ["arm", "training sample-steps", "concepts that reach it", "times sooner"],
            body,
            sources,
            name,
        )
        why = (
            "sample-steps are not seconds, and where the reference ends is no quality that matters by itself; an arm "
            "with more vectors may get there by their number alone, which only a control with as many can tell"
        )
        parts: list[Part] = [_drawing(strips, goal, name), table, *left_out(others, reference), limits(why)]
        return Section(self.heading, parts, {name: rows})


HOW = (
    "medians over concepts, with intervals of at least 95 % over them (fewer than six concepts: the whole range, "
    "which covers less). For each concept, curves are means over seeds; the cost is where an arm's curve first is as "
    "good as the reference's last checkpoint, the loss taken as linear in log(sample-steps) between checkpoints; the "
    "reference's own cost is found in the same way. Times sooner: 1 / the median share of the reference's cost that "
    "the arm needs; concepts where the reference ends no better than it starts have none. A concept that is not "
    "reached within an arm's steps counts as later than any that is; > says how many sample-steps the arm had, which "
    "may be fewer than the reference needs. Where a trial of the reference diverged, its concept's other seeds set "
    "the goal; one of another arm that diverged has the steps before that."
)


def _drawing(strips: Sequence[Strip], goal: str, name: str) -> Drawing:
    shown = (
        f"Training sample-steps to the {goal}: a dot for each concept, a triangle where the arm's own steps "
        "do not reach it; the median (large) and its interval over concepts. At the right: concepts that reach it, and "
        "how many times sooner."
    )
    x_label = f"training sample-steps (steps × batch)\nto the {goal}"
    return Drawing(name, shown, partial(figures.strips, strips, x_label, True, None, "not in\nits steps"), name)


def _summary(arm: ArmLabel, reached: Sequence[Row], is_reference: bool) -> tuple[list[str], Strip]:
    """An arm's row of the table and of the figure."""
    needed = [row["training_sample_steps"] if row["reached"] else math.inf for row in reached]
    middle, speed = statistics.median(needed), times_sooner([row["ratio"] for row in reached])
    count = f"{sum(at < math.inf for at in needed)} of {len(needed)}"
    said = "reference" if is_reference else ratio(speed.mean)
    between = f" [{ratio(speed.low)}, {ratio(speed.high)}]" if not is_reference and speed.high > 0 else ""
    spent = min((row["spent"] for row in reached if not row["reached"]), default=0)
    strip = Strip(arm.number, arm.label, needed, middle.mean, middle.low, middle.high, f"{count}\n{said}")
    return [arm.label, cost(middle, spent), count, said + between], strip


def _reached(results: Results, arm: ArmLabel, reference: ArmLabel, metric: str, concept: str) -> Row:
    """One concept's cost, a row of the CSV; empty where the two arms have no seed in common yet."""
    ours, theirs = results.of(arm.name), results.of(reference.name)
    # Where a trial diverged the reference does not end.
    keys = [key for key in ours if key[0] == concept and key in theirs and theirs[key].diverged is None]
    cost_, curve = _mean_curve([ours[key] for key in keys], metric)
    base_cost, base_curve = _mean_curve([theirs[key] for key in keys], metric)
    if not base_curve or not (curve or any(ours[key].diverged for key in keys)):
        return {}
    sign = 1 if results.direction(metric) == "lower" else -1
    target = base_curve[-1]
    at = statistics.reach(cost_, [sign * y for y in curve], sign * target)
    base = statistics.reach(base_cost, [sign * y for y in base_curve], sign * target)
    if arm == reference:
        times = 1.0
    elif base == 0 and at < math.inf:  # the reference ends no better than it starts: no share of its cost
        times = math.nan
    elif at == base:
        times = 1.0
    else:
        times = math.inf if at == 0 else base / at  # never: 0
    used = dict.fromkeys([*results.ids(arm.name, keys), *results.ids(reference.name, keys)])
    row: Row = {"metric": metric, "arm": arm.name, "reference": reference.name, "concept": concept, "target": target}
    row |= {"reached": int(at < math.inf), "training_sample_steps": at if at < math.inf else None}
    row |= {"spent": round(max(cost_, default=0)), "reference_training_sample_steps": base, "ratio": times}
    return row | {"ids": " ".join(used)}


def times_sooner(ratios: Sequence[float]) -> statistics.Estimate:
    """The median, as 1 / that of the share of the reference's cost: never (0) is a share that is later than any. Ratios
    that are NaN are left out; of nothing else the median is one."""
    known = [ratio for ratio in ratios if not math.isnan(ratio)]
    e = statistics.median([math.inf if ratio == 0 else 1 / ratio for ratio in known] or [math.nan])
    mean, low, high = (math.inf if share == 0 else 1 / share for share in (e.mean, e.high, e.low))
    return e._replace(mean=mean, low=low, high=high)


def _mean_curve(trials: Sequence[TrialResult], metric: str) -> tuple[list[float], list[float]]:
    """(training sample-steps, mean over the trials) at the steps where all of them have the metric."""
    shared = set.intersection(*(set(trial.steps(metric)) for trial in trials)) if trials else set()
    # A mean of few single losses is their luck.
    steps = sorted(step for step in shared if metric != "training-loss" or step >= WINDOW)
    means = [float(np.mean([trial.value(metric, step) for trial in trials])) for step in steps]
    return [step * trials[0].batch for step in steps], means
