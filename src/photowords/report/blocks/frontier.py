"""Two metrics against each other over steps, with the best stop; step 0 is the plain backbone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from photowords.report import figures, statistics
from photowords.report.alike import left_out, split
from photowords.report.blocks.block import Block, MetricName
from photowords.report.document import Drawing, Part, Record, Section, Table
from photowords.report.figures import Series
from photowords.report.results import ArmLabel, Results
from photowords.report.statistics import Estimate, Floats, Key
from photowords.report.wording import (
    OVER,
    Row,
    absent,
    axis,
    called,
    decimals,
    interval,
    joined_ids,
    limits,
    sentence,
)

RULE = (
    "Best stop: each metric is scaled to 0 at the worst and 1 at the best of all points drawn, and the stop is the "
    "arm's step with the largest harmonic mean of the two (none for an arm of fewer than three scored steps)."
)


class _Point(NamedTuple):
    """An arm after a step: each metric's values by (concept, seed), their estimates, and how well both do at once."""

    arm: ArmLabel
    step: int
    values: tuple[dict[Key, float], dict[Key, float]]
    estimates: tuple[Estimate, Estimate]
    balance: float = 0.0


class _Line(NamedTuple):
    """An arm's points, which of them is the best stop (None for no stop), and how often each is in resamples."""

    points: list[_Point]
    best: int | None
    shares: list[float]


@dataclass(frozen=True, kw_only=True)
class Frontier(Block):
    """``y`` against ``x``, both metrics."""

    kind: ClassVar[str] = "frontier"

    x: MetricName
    y: MetricName

    def make(self, results: Results, name: str) -> Section:
        metrics = results.metric(self.x), results.metric(self.y)
        chosen = self.chosen(results)
        arms, others = split(results, chosen[0], chosen, *metrics)
        points = self._points(results, arms, metrics)
        if not points:
            return Section(self.heading, [absent(" together with ".join(metrics))])
        directions = [results.direction(metric) for metric in metrics]
        means = np.array([[e.mean for e in point.estimates] for point in points])
        scores = statistics.balance(means, directions)
        points = [point._replace(balance=float(score)) for point, score in zip(points, scores, strict=True)]
        lines = [
            _line([point for point in points if point.arm == arm], directions, means)
            for arm in dict.fromkeys(point.arm for point in points)
        ]
        labels = [axis(results, metric) for metric in metrics]
        shown = (
            f"{sentence(called(metrics[1]))} against {called(metrics[0])} over steps (the numbers): {OVER} (thin "
            f"bars). Hollow: step 0, the plain backbone with the words that the arm starts from. Ringed: the best "
            f"stop. {RULE}"
        )
        draw = partial(figures.frontier, [_series(line) for line in lines], *labels)
        why = (
            "the scale depends on which points are drawn, so best stops of two figures do not compare; reconstruction "
            "rewards a copy of the photo, and editability one that leaves the concept out"
        )
        parts: list[Part] = [Drawing(name, shown, draw, name), _table(results, lines, labels, name)]
        parts += [*left_out(others, chosen[0]), limits(why)]
        return Section(self.heading, parts, {name: _rows(results, lines, metrics)})

    def _points(self, results: Results, arms: Sequence[ArmLabel], metrics: tuple[str, str]) -> list[_Point]:
        """The steps of each arm where the same trials have both metrics."""
        found = []
        for arm in arms:
            for step in results.steps(metrics[0], arm.name):
                across, up = (results.values(arm.name, metric, step) for metric in metrics)
                if keys := [key for key in across if key in up]:
                    both = {key: across[key] for key in keys}, {key: up[key] for key in keys}
                    estimates = statistics.estimate(both[0]), statistics.estimate(both[1])
                    found.append(_Point(arm, step, both, estimates))
        return found


def _line(points: list[_Point], directions: Sequence[str], among: Floats) -> _Line:
    best = max(range(len(points)), key=lambda i: points[i].balance)
    if len(points) < 3 or points[best].balance <= 0:  # of two points, each is the best in one metric
        return _Line(points, None, [float("nan")] * len(points))
    return _Line(points, best, _shares([point.values for point in points], directions, among))


def _series(line: _Line) -> Series:
    across, up = ([point.estimates[which] for point in line.points] for which in (0, 1))
    return Series(
        number=line.points[0].arm.number,
        label=line.points[0].arm.label,
        x=[e.mean for e in across],
        x_low=[e.low for e in across],
        x_high=[e.high for e in across],
        y=[e.mean for e in up],
        low=[e.low for e in up],
        high=[e.high for e in up],
        steps=[point.step for point in line.points],
        marked=line.best,
    )


def _rows(results: Results, lines: Sequence[_Line], metrics: Sequence[str]) -> list[Record]:
    rows: list[Record] = []
    for line in lines:
        for i, (point, share) in enumerate(zip(line.points, line.shares, strict=True)):
            row: Row = {"arm": point.arm.name, "step": point.step}
            for metric, e in zip(metrics, point.estimates, strict=True):
                row |= {metric: e.mean, f"{metric}_low": e.low, f"{metric}_high": e.high}
            row |= {"balance": point.balance, "best_stop": int(i == line.best), "share": share}
            ids = joined_ids(results, point.arm, point.values[0])
            rows.append(row | {"trials": point.estimates[0].values, "ids": ids})
    return rows


def _table(results: Results, lines: Sequence[_Line], labels: Sequence[str], name: str) -> Table:
    """Each arm at step 0, at its best stop and at its last step."""
    points = [point for line in lines for point in line.points]
    places = [decimals([point.estimates[which] for point in points]) for which in (0, 1)]
    body = []
    sources: dict[str, tuple[str, ...]] = {}
    for line in lines:
        own, last = line.points, len(line.points) - 1
        named = {0: "plain backbone (step 0)"} if own[0].step == 0 else {}
        named.setdefault(last, f"last, step {own[last].step}")
        if line.best is not None:
            named[line.best] = (
                f"{named[line.best]}, the best stop" if line.best in named else f"best stop, step {own[line.best].step}"
            )
        for i in sorted(named):
            label = f"{own[i].arm.label}: {named[i]}"
            share = line.shares[i]
            chosen = f"{100 * share:.0f} %" if i == line.best and not math.isnan(share) else ""
            cells = [interval(e, place) for e, place in zip(own[i].estimates, places, strict=True)]
            body.append([label, *cells, chosen])
            sources[label] = results.ids(own[i].arm.name, own[i].values[0])
    chosen = f"Chosen: share of {statistics.RESAMPLES:,} resamples in which it is that step."
    caption = f"{sentence(OVER)}. {RULE} {chosen}"
    return Table(caption, ["arm and step", *labels, "chosen"], body, sources, name)


def _shares(points: Sequence[Sequence[Mapping[Key, float]]], directions: Sequence[str], among: Floats) -> list[float]:
    """How often each point is the best of them over the bootstrap's resamples; NaN where there is nothing to draw from,
    which one concept is."""
    keys = tuple(key for key in points[0][0] if all(key in both[0] for both in points))
    if len({concept for concept, _ in keys}) < 2:
        return [float("nan")] * len(points)
    drawn = statistics.resampled(keys)
    means = [np.stack([drawn @ np.array([values[key] for key in keys]) for values in both], axis=1) for both in points]
    best = np.argmax(np.stack([statistics.balance(each, directions, among) for each in means]), axis=0)
    return [float(np.mean(best == i)) for i in range(len(points))]
