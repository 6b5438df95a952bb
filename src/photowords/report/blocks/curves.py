"""Metrics against steps, a panel each, like Figures 3 to 8 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from photowords.report import figures, statistics
from photowords.report.alike import left_out, split
from photowords.report.blocks.block import Block, MetricName
from photowords.report.document import Drawing, Part, Record, Section, Text
from photowords.report.figures import Series
from photowords.report.results import SMOOTHED, ArmLabel, Results
from photowords.report.wording import OVER, absent, axis, called, joined_ids, limits, numbers, sentence

POINTS = 60  # of a training loss: as many as a figure of this size can show


@dataclass(frozen=True, kw_only=True)
class Curves(Block):
    """A panel for each metric.

    Attributes:
        x: optimiser steps, or what they cost: predictions trained on, without those of evaluations.
        log: a log axis, on which 0 has its place before the first checkpoint.
    """

    kind: ClassVar[str] = "curves"

    metrics: tuple[MetricName, ...]
    x: Literal["steps", "training-sample-steps"] = "steps"
    log: bool = False

    def make(self, results: Results, name: str) -> Section:
        rows: list[Record] = []
        panels: dict[str, list[Series]] = {}
        others: list[Text] = []
        chosen = self.chosen(results)
        for metric in map(results.metric, self.metrics):
            panels[metric] = []
            arms, apart = _comparing(results, chosen, metric)
            others += left_out(apart, chosen[0], metric)
            for arm in arms:
                line, behind = self._line(results, arm, metric)
                rows += behind
                panels[metric] += [line] if behind else []
        parts: list[Part] = [absent(metric) for metric, lines in panels.items() if not lines]
        ends = _ends(panels)
        for metric, lines in panels.items():
            if lines:
                counts = sorted({row["trials"] for row in rows if row["metric"] == metric})
                parts.append(self._panel(results, metric, lines, ends, (counts[0], counts[-1]), name))
        why = "concepts differ in level, so shades that overlap do not say that arms are equal: paired differences do"
        if panels.get("training-loss"):
            why += (
                "; the training loss also falls when a photo is learned by heart; the held-out loss is of other noise "
                "and timesteps, but of the same photo"
            )
        return Section(self.heading, [*parts, *others, limits(why)], {name: rows} if rows else {})

    def _panel(
        self,
        results: Results,
        metric: str,
        lines: Sequence[Series],
        ends: tuple[float, float],
        counts: tuple[int, int],
        name: str,
    ) -> Drawing:
        dense = metric == "training-loss"
        fewest, most = counts
        trials = f"{fewest} to {most} trials" if fewest < most else f"{most} trial{'s' * (most > 1)}"
        smooth = f", each point the {SMOOTHED} if that is more" if dense else ""
        against = self.x.replace("-", " ", 1)  # "training sample-steps"
        caption = sentence(f"{called(metric)} against {against}{smooth}: {OVER} (shaded); {trials} an arm.")
        x_label = "steps" if self.x == "steps" else f"{against} (steps × batch)"
        y_label = axis(results, metric) + (f"\n{SMOOTHED}" if dense else "")
        across = self._across(results, metric, lines)
        draw = partial(figures.curves, lines, x_label, y_label, self.log, ends, across)
        return Drawing(f"{name}-{metric}", caption, draw, name)

    def _line(self, results: Results, arm: ArmLabel, metric: str) -> tuple[Series, list[Record]]:
        """An arm's line and its numbers, none where it has not the metric."""
        steps = results.steps(metric, arm.name)
        dense = metric == "training-loss"
        if dense and len(steps) > POINTS:  # evenly apart on the axis, the first and last among them
            space = np.geomspace if self.log else np.linspace
            steps = sorted({int(step) for step in np.rint(space(steps[0], steps[-1], POINTS))})
        points = {step: results.values(arm.name, metric, step) for step in steps}
        steps = [step for step in steps if points[step]]  # a loss that is no number leaves none
        values = [points[step] for step in steps]
        estimates = [statistics.estimate(each) for each in values]
        batch = next((trial.batch for trial in results.of(arm.name).values()), 1)
        rows: list[Record] = [
            {"metric": metric, "arm": arm.name, "step": step, "training_sample_steps": round(step * batch)}
            | numbers(e)
            | {"ids": joined_ids(results, arm, each)}
            for step, each, e in zip(steps, values, estimates, strict=True)
        ]
        x = steps if self.x == "steps" else [step * batch for step in steps]
        mean, low, high = ([e[place] for e in estimates] for place in range(3))
        return Series(arm.number, arm.label, x, mean, low, high, dense=dense), rows

    def _across(self, results: Results, metric: str, lines: Sequence[Series]) -> tuple[float, float]:
        """The least and the largest number that any of the report's panels of a metric shows, so that they compare."""
        shown = {line.number for line in lines}
        drawn = list(lines)
        for table in results.plan["report"]:
            if table["kind"] != self.kind or metric not in map(results.metric, table["metrics"]):
                continue
            arms = [arm for arm in results.arms if arm.name in table.get("arms", [arm.name])]
            for arm in _comparing(results, arms, metric)[0]:
                if arm.number not in shown:
                    shown.add(arm.number)
                    drawn.append(self._line(results, arm, metric)[0])
        values = [value for line in drawn for value in (*line.y, *line.low, *line.high) if value == value]
        return min(values), max(values)


def _comparing(
    results: Results, arms: Sequence[ArmLabel], metric: str
) -> tuple[Sequence[ArmLabel], Sequence[ArmLabel]]:
    """Those whose numbers compare with the first's, and the others. Training losses are of each step's own draws, and
    are shown for their course alone."""
    return (arms, []) if metric == "training-loss" or not arms else split(results, arms[0], arms, metric)


def _ends(panels: dict[str, list[Series]]) -> tuple[float, float]:
    """Where a block's axes begin and end: at the first checkpoint, not the first step: what is before it is noise."""
    seen = [(metric, x) for metric, lines in panels.items() for line in lines for x in line.x if x > 0]
    measured = [x for metric, x in seen if metric != "training-loss"]
    everything = [x for _, x in seen] or [1]
    return min(measured or everything), max(everything)
