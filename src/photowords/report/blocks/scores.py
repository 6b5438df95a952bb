"""Metrics of the arms after a step (or several), and paired differences to a reference arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from photowords.report import statistics
from photowords.report.alike import alike, left_out, split
from photowords.report.blocks.block import ArmName, Block, MetricName
from photowords.report.document import Part, Record, Section, Strong, Table
from photowords.report.results import ArmLabel, Results
from photowords.report.statistics import Comparison, Estimate
from photowords.report.wording import OVER, Row, absent, axis, decimals, interval, limits, named_arm, numbers, sentence


@dataclass
class _Cells:
    """The numbers of a table as they are found: metric -> row's label -> number, and row's label -> ids in order."""

    estimates: dict[str, dict[str, Estimate]]
    pairs: dict[str, dict[str, Comparison]]
    own: dict[str, dict[str, None]] = field(default_factory=dict)
    both: dict[str, dict[str, None]] = field(default_factory=dict)
    rows: list[Record] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Scores(Block):
    """A table of metrics, and one of differences to the ``reference`` where there is one.

    Attributes:
        step: the steps to show, a row each; none is each arm's last.
    """

    kind: ClassVar[str] = "table"

    metrics: tuple[MetricName, ...]
    step: tuple[int, ...] = ()
    reference: ArmName | None = None

    def make(self, results: Results, name: str) -> Section:
        metrics = [results.metric(metric) for metric in self.metrics]
        cells = _Cells({metric: {} for metric in metrics}, {metric: {} for metric in metrics})
        for arm in self.chosen(results):
            for step in self.step or (None,):
                for metric in metrics:
                    self._fill(cells, results, arm, metric, step)
        parts: list[Part] = [absent(metric) for metric in metrics if not cells.estimates[metric]]
        if not cells.rows:
            return Section(self.heading, parts)
        where = f"after step {' and '.join(map(str, self.step))}" if self.step else "after each arm's last step"
        shown = [metric for metric in metrics if cells.estimates[metric]]
        parts.append(_table(cells, results, shown, where, name))
        if self.reference:
            reference = named_arm(results, self.reference)
            parts += [_differences(cells, results, reference, shown, where, name)] if cells.both else []
            for metric in shown:
                parts += left_out(split(results, reference, self.chosen(results), metric)[1], reference, metric)
        why = (
            "an interval covers the choice of concepts like these and of training seeds, not of models, settings or "
            "prompts, nor of the noise that pictures begin from, which is the same for all concepts"
        )
        return Section(self.heading, [*parts, limits(why)], {name: cells.rows})

    def _fill(self, cells: _Cells, results: Results, arm: ArmLabel, metric: str, step: int | None) -> None:
        """Add an arm's number, where it has one, and its difference to the reference's."""

        def at(arm: str) -> int:
            return max(results.steps(metric, arm), default=0) if step is None else step

        if not (values := results.values(arm.name, metric, at(arm.name))):
            return
        label = f"{arm.label}, step {step}" if len(self.step) > 1 else arm.label
        found = cells.estimates[metric][label] = statistics.estimate(values)
        ids = results.ids(arm.name, values)
        cells.own.setdefault(label, {}).update(dict.fromkeys(ids))
        row: Row = {"metric": metric, "better": results.direction(metric), "arm": arm.name, "step": at(arm.name)}
        row |= numbers(found) | {"ids": " ".join(ids)}
        if self.reference:
            apart = arm.name != self.reference and alike(results, metric, arm.name, self.reference)
            others = results.values(self.reference, metric, at(self.reference)) if apart else {}
            compared = statistics.compare(values, others, results.direction(metric))
            theirs = results.ids(self.reference, [key for key in values if key in others])
            row |= _compared(self.reference, compared) | {"reference_ids": " ".join(theirs)}
            if compared:
                cells.pairs[metric][label] = compared
                cells.both.setdefault(label, {}).update(dict.fromkeys((*ids, *theirs)))
        cells.rows.append(row)


def _table(cells: _Cells, results: Results, metrics: list[str], where: str, name: str) -> Table:
    head = ["arm", *(axis(results, metric) for metric in metrics), "trials"]
    arms = [arm for arm in results.arms if arm.name in {row["arm"] for row in cells.rows}]
    fair = {metric for metric in metrics if not split(results, arms[0], arms, metric)[1]}
    body = [
        [label, *(_score(label, cells.estimates[m], results.direction(m), m in fair) for m in metrics), str(len(ids))]
        for label, ids in cells.own.items()
    ]
    caption = (
        f"{sentence(OVER)}, {where}. Bold: the best, where its interval overlaps no other row's and "
        "all rows are measured alike."
    )
    return Table(caption, head, body, {label: tuple(ids) for label, ids in cells.own.items()}, name)


def _differences(
    cells: _Cells, results: Results, reference: ArmLabel, metrics: list[str], where: str, name: str
) -> Table:
    head = [f"minus {reference.label}", *(axis(results, metric) for metric in metrics)]
    body = [[label, *(_difference(label, cells.pairs[metric]) for metric in metrics)] for label in cells.both]
    caption = (
        f"Paired differences {where}: each arm minus {reference.label} for the same concept and seed, with 95 % "
        "intervals; and in how many concepts (mean over seeds) and pairs the arm is better (a tie is not)."
    )
    return Table(caption, head, body, {label: tuple(ids) for label, ids in cells.both.items()}, name)


def stands_out(label: str, column: Mapping[str, Estimate], direction: str) -> bool:
    """Whether a row is the best of its column, by an interval that no other row's overlaps; never of one row alone."""
    own, others = column[label], [e for name, e in column.items() if name != label]
    if direction == "lower":
        return bool(others) and all(own.high < other.low for other in others)
    return bool(others) and all(own.low > other.high for other in others)


def _score(label: str, column: Mapping[str, Estimate], direction: str, fair: bool) -> str:
    if label not in column:
        return "–"
    text = interval(column[label], decimals(list(column.values())))
    return Strong(text) if fair and stands_out(label, column, direction) else text


def _difference(label: str, column: Mapping[str, Comparison]) -> str:
    if label not in column:
        return "–"
    compared = column[label]
    d = compared.difference
    text = interval(d, decimals([each.difference for each in column.values()]), sign=True)
    return f"{text}; {compared.concepts_won} of {d.concepts} concepts, {compared.pairs_won} of {d.values} pairs"


def _compared(reference: str, compared: Comparison | None) -> Row:
    fields = ("difference", "difference_low", "difference_high", "concepts_won", "of_concepts", "pairs_won", "of_pairs")
    if compared is None:
        return {"reference": reference, **dict.fromkeys(fields)}
    d = compared.difference
    values = (d.mean, d.low, d.high, compared.concepts_won, d.concepts, compared.pairs_won, d.values)
    return {"reference": reference, **dict(zip(fields, values, strict=True))}
