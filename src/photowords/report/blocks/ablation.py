"""How far a metric spreads over seeds, or over arms, all else equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from photowords.report import figures, statistics
from photowords.report.alike import left_out, split
from photowords.report.blocks.block import Block, MetricName
from photowords.report.document import Drawing, Part, Record, Section, Table, Text
from photowords.report.figures import Strip
from photowords.report.results import ArmLabel, Results
from photowords.report.wording import absent, called, joined_ids, limits, sentence, significant

Cell = tuple[str, str, str]
"""(arm, concept, seed)"""


@dataclass(frozen=True, kw_only=True)
class Ablation(Block):
    """The spread of a metric ``by`` seed or arm.

    Attributes:
        step: where it is measured; None is each arm's last.
    """

    kind: ClassVar[str] = "ablation"

    metric: MetricName
    by: Literal["seed", "arm"]
    step: int | None = None

    def make(self, results: Results, name: str) -> Section:
        metric, chosen = results.metric(self.metric), self.chosen(results)
        arms, others = split(results, chosen[0], chosen, metric)
        values: dict[Cell, float] = {}
        for arm in arms:
            at = max(results.steps(metric, arm.name), default=0) if self.step is None else self.step
            for (concept, seed), value in results.values(arm.name, metric, at).items():
                values[arm.name, concept, str(seed)] = value
        if not values:
            return Section(self.heading, [absent(metric, "" if self.step is None else f" after step {self.step}")])
        deviations = _deviations(values, 0 if self.by == "arm" else 2)
        where = "after each arm's last step" if self.step is None else f"after step {self.step}"
        parts: list[Part] = [
            self._drawing(arms, deviations, f"{called(metric)} {where}", f"{called(metric)}", name)
            if deviations
            else Text(f"There is no complete set of two or more {self.by}s yet."),
            _table(results, arms, values, f"{called(metric)} {where}", name),
            *left_out(others, chosen[0]),
            limits(
                f"a spread over few {self.by}s is uncertain itself, and says nothing of {self.by}s that were not run"
            ),
        ]
        rows: list[Record] = [
            {"metric": metric, "arm": arm.name, "concept": cell[1], "seed": int(cell[2]), "value": value}
            | {"deviation": deviations.get(cell), "ids": joined_ids(results, arm, [(cell[1], int(cell[2]))])}
            for arm in arms
            for cell, value in values.items()
            if cell[0] == arm.name
        ]
        return Section(self.heading, parts, {name: rows})

    def _drawing(
        self, arms: Sequence[ArmLabel], deviations: Mapping[Cell, float], what: str, metric: str, name: str
    ) -> Drawing:
        strips = []
        for arm in arms:
            mine = {(c, int(seed)): d for (name_, c, seed), d in deviations.items() if name_ == arm.name}
            groups = {arm.label: mine}
            if self.by == "seed":
                seeds = sorted({seed for _, seed in mine})
                groups = {f"{arm.label}, seed {s}": {k: d for k, d in mine.items() if k[1] == s} for s in seeds}
            for label, group in groups.items():
                if group:
                    e = statistics.estimate(group)
                    strips.append(Strip(arm.number, label, list(group.values()), e.mean, e.low, e.high))
        dot = "concept" if self.by == "seed" else "concept and seed"
        shown = (
            f"{what}, minus its mean over {self.by}s with everything else equal: a dot for each {dot}, "
            f"the mean and its 95 % interval. Only complete sets of {self.by}s are drawn."
        )
        x_label = f"{metric}\nminus its mean over {self.by}s"
        return Drawing(name, sentence(shown), partial(figures.strips, strips, x_label, False, 0.0), name)


def _table(results: Results, arms: Sequence[ArmLabel], values: Mapping[Cell, float], what: str, name: str) -> Table:
    """Standard deviations of each arm, and of all together."""
    body = []
    sources: dict[str, tuple[str, ...]] = {}
    for label, some in [(arm.label, [arm]) for arm in arms] + ([("all arms", list(arms))] if len(arms) > 1 else []):
        names = [arm.name for arm in some]
        part = {cell: value for cell, value in values.items() if cell[0] in names}
        body.append([label, *(significant(statistics.spread(part, over)) for over in (2, 1, 0)), str(len(part))])
        keys = {arm.name: [(c, int(seed)) for name_, c, seed in part if name_ == arm.name] for arm in some}
        sources[label] = tuple(id_ for arm in some for id_ in results.ids(arm.name, keys[arm.name]))
    head = ["standard deviation", "over seeds", "over concepts", "over arms", "trials"]
    caption = f"Standard deviation of the {what} over one of the three, the other two equal (pooled)."
    return Table(caption, head, body, sources, name)


def _deviations(values: Mapping[Cell, float], part: int) -> dict[Cell, float]:
    """Each value minus the mean of its group, the cells that differ in one part alone.

    Only of complete groups: a mean over other seeds or arms than the next group's would not compare with it.
    """
    groups: dict[tuple[str, ...], dict[Cell, float]] = {}
    for cell, value in values.items():
        groups.setdefault(cell[:part] + cell[part + 1 :], {})[cell] = value
    levels = len({cell[part] for cell in values})
    whole = [group for group in groups.values() if len(group) == levels > 1]
    return {cell: value - float(np.mean(list(group.values()))) for group in whole for cell, value in group.items()}
