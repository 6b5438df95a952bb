"""The [[report]] blocks that derive something: the cost to reach a loss, the best stop, the spread over seeds and arms.

Each is a function of (results, block, name) that returns a ``Section``; ``name`` begins the names of its files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from photowords.study import figures, statistics
from photowords.study.document import Drawing, Part, Record, Section, Table, Text
from photowords.study.figures import Series, Strip
from photowords.study.results import Arm, Results, Trial
from photowords.study.statistics import Floats, Key
from photowords.study.wording import (
    OVER,
    Block,
    Row,
    absent,
    axis,
    called,
    chosen_arms,
    cost,
    decimals,
    interval,
    joined_ids,
    limits,
    named_arm,
    ratio,
    sentence,
    significant,
)

Cell = tuple[str, str, str]
"""(arm, concept, seed)"""


def reach(results: Results, block: Block, name: str) -> Section:
    """The sample-steps that each arm needs to get where the reference arm ends, as in the paper's claim of speed."""
    metric = results.metric(block.get("metric", "held-out-loss"))
    reference = named_arm(results, block["reference"])
    title = str(block.get("title", "Reach"))
    rows: list[Record] = []
    body, strips = [], []
    sources: dict[str, tuple[str, ...]] = {}
    for arm in chosen_arms(results, block):
        found = [_reached(results, arm, reference, metric, concept) for concept in results.concepts]
        reached = [row for row in found if row]
        if not reached:
            continue
        rows += reached
        needed = [row["sample_steps"] if row["reached"] else math.inf for row in reached]
        middle, speed = statistics.median(needed), _times_sooner([row["ratio"] for row in reached])
        count = f"{sum(at < math.inf for at in needed)} of {len(needed)}"
        said = "reference" if arm == reference else ratio(speed.mean)
        between = f" [{ratio(speed.low)}, {ratio(speed.high)}]" if arm != reference and speed.high > 0 else ""
        spent = min((row["spent"] for row in reached if not row["reached"]), default=0)
        body.append([arm.label, cost(middle, spent), count, said + between])
        strips.append(Strip(arm.number, arm.label, needed, middle.mean, middle.low, middle.high, f"{count}\n{said}"))
        sources[arm.label] = tuple(dict.fromkeys(id_ for row in reached for id_ in row["ids"].split()))
    if not rows:
        return Section(title, [absent(metric, f" for one concept and seed in both {reference.label} and another arm")])
    goal = f"{called(metric)} where {reference.label} ends"
    shown = (
        f"Training sample-steps to the {goal}: a dot for each concept, a triangle where the arm's own steps "
        "do not reach it; the median (large) and its 95 % interval over concepts. At the right: concepts that reach "
        "it, and how many times sooner."
    )
    x_label = f"training sample-steps (steps × batch)\nto the {goal}"
    figure = Drawing(name, shown, partial(figures.strips, strips, x_label, True, None, "not in\nits steps"), name)
    caption = (
        f"Training sample-steps to the {goal}: medians over concepts, with 95 % bootstrap intervals over concepts. For "
        "each concept, curves are means over seeds; the cost is where an arm's curve first is as good as the "
        "reference's last checkpoint, the loss taken as linear in log(sample-steps) between checkpoints; the "
        "reference's own cost is found in the same way. Times sooner: 1 / the median share of the "
        "reference's cost that the arm needs. A concept that is not reached within an arm's steps counts as later than "
        "any that is; > says how many sample-steps the arm had, which may be fewer than the reference needs."
    )
    head = ["arm", "sample-steps", "concepts that reach it", "times sooner"]
    why = (
        "sample-steps are not seconds, and where the reference ends is no quality that matters by itself; an arm with "
        "more vectors may get there by their number alone, which only a control with as many can tell"
    )
    return Section(title, [figure, Table(caption, head, body, sources, name), limits(why)], {name: rows})


def frontier(results: Results, block: Block, name: str) -> Section:
    """Two metrics against each other over steps, with the best stop; step 0 is the plain backbone."""
    title = str(block.get("title", "Frontier"))
    metrics = [results.metric(block["x"]), results.metric(block["y"])]
    directions = [results.direction(metric) for metric in metrics]
    points: list[tuple[Arm, int, list[dict[Key, float]]]] = []
    for arm in chosen_arms(results, block):
        for step in results.steps(metrics[0], arm.name):
            across, up = (results.values(arm.name, metric, step) for metric in metrics)
            if keys := [key for key in across if key in up]:
                points.append((arm, step, [{key: values[key] for key in keys} for values in (across, up)]))
    if not points:
        return Section(title, [absent(" together with ".join(metrics))])
    estimates = [[statistics.estimate(values) for values in both] for _, _, both in points]
    means = np.array([[e.mean for e in both] for both in estimates])
    scores = statistics.balance(means, directions)
    places = [decimals([both[which] for both in estimates]) for which in (0, 1)]
    rows: list[Record] = []
    lines, body = [], []
    sources: dict[str, tuple[str, ...]] = {}
    for arm in dict.fromkeys(arm for arm, _, _ in points):
        own = [i for i, point in enumerate(points) if point[0] == arm]
        best = max(own, key=lambda i: scores[i])
        marked = len(own) > 2 and scores[best] > 0  # of two points, each is the best in one metric
        shares = _shares([points[i][2] for i in own], directions, means) if marked else [float("nan")] * len(own)
        x, (mean, low, high) = ([[estimates[i][which][field] for i in own] for field in range(3)] for which in (0, 1))
        steps = [points[i][1] for i in own]
        ringed = own.index(best) if marked else None
        lines.append(Series(arm.number, arm.label, x[0], mean, low, high, False, steps, x[1], x[2], ringed))
        for i, share in zip(own, shares, strict=True):
            row: Row = {"arm": arm.name, "step": points[i][1]}
            for metric, e in zip(metrics, estimates[i], strict=True):
                row |= {metric: e.mean, f"{metric}_low": e.low, f"{metric}_high": e.high}
            row |= {"balance": float(scores[i]), "best_stop": int(marked and i == best), "share": share}
            rows.append(row | {"trials": estimates[i][0].values, "ids": joined_ids(results, arm, points[i][2][0])})
        named = {own[0]: "plain backbone (step 0)"} if steps[0] == 0 else {}
        named.setdefault(own[-1], f"last, step {steps[-1]}")
        if marked:
            named[best] = f"{named[best]}, the best stop" if best in named else f"best stop, step {points[best][1]}"
        for i in sorted(named):
            label = f"{arm.label}: {named[i]}"
            chosen = f"{100 * shares[own.index(i)]:.0f} %" if marked and i == best else ""
            body.append([label, *(interval(e, places[which]) for which, e in enumerate(estimates[i])), chosen])
            sources[label] = results.ids(arm.name, points[i][2][0])
    rule = (
        "Best stop: each metric is scaled to 0 at the worst and 1 at the best of all points drawn, and the stop is the "
        "arm's step with the largest harmonic mean of the two (none for an arm of fewer than three scored steps)."
    )
    labels = [axis(results, metric) for metric in metrics]
    shown = (
        f"{sentence(called(metrics[1]))} against {called(metrics[0])} over steps (the numbers): {OVER} (thin bars). "
        f"Hollow: step 0, the plain backbone with the words that the arm starts from. Ringed: the best stop. {rule}"
    )
    figure = Drawing(name, shown, partial(figures.frontier, lines, *labels), name)
    caption = f"{sentence(OVER)}. {rule} Chosen: share of the bootstrap's resamples in which it is that step."
    why = (
        "the scale depends on which points are drawn, so best stops of two figures do not compare; reconstruction "
        "rewards a copy of the photo, and editability one that leaves the concept out"
    )
    about = Table(caption, ["arm and step", *labels, "chosen"], body, sources, name)
    return Section(title, [figure, about, limits(why)], {name: rows})


def ablation(results: Results, block: Block, name: str) -> Section:
    """How far a metric spreads over seeds, or over arms, all else equal."""
    by, metric, step = block["by"], results.metric(block["metric"]), block.get("step")
    title = str(block.get("title", "Ablation"))
    arms = chosen_arms(results, block)
    values: dict[Cell, float] = {}
    for arm in arms:
        at = max(results.steps(metric, arm.name), default=0) if step is None else step
        for (concept, seed), value in results.values(arm.name, metric, at).items():
            values[arm.name, concept, str(seed)] = value
    if not values:
        return Section(title, [absent(metric, "" if step is None else f" after step {step}")])
    deviations = _deviations(values, 0 if by == "arm" else 2)
    strips = []
    for arm in arms:
        mine = {(c, int(seed)): d for (name_, c, seed), d in deviations.items() if name_ == arm.name}
        groups = {arm.label: mine}
        if by == "seed":
            groups = {
                f"{arm.label}, seed {s}": {k: d for k, d in mine.items() if k[1] == s}
                for s in sorted({k[1] for k in mine})
            }
        for label, group in groups.items():
            if group:
                e = statistics.estimate(group)
                strips.append(Strip(arm.number, label, list(group.values()), e.mean, e.low, e.high))
    rows: list[Record] = [
        {"metric": metric, "arm": arm.name, "concept": cell[1], "seed": int(cell[2]), "value": value}
        | {"deviation": deviations.get(cell), "ids": joined_ids(results, arm, [(cell[1], int(cell[2]))])}
        for arm in arms
        for cell, value in values.items()
        if cell[0] == arm.name
    ]
    where = "after each arm's last step" if step is None else f"after step {step}"
    parts: list[Part] = []
    if strips:
        dot = "concept" if by == "seed" else "concept and seed"
        shown = (
            f"{called(metric)} {where}, minus its mean over {by}s with everything else equal: a dot for each {dot}, "
            f"the mean and its 95 % interval. Only complete sets of {by}s are drawn."
        )
        x_label = f"{called(metric)}\nminus its mean over {by}s"
        parts.append(Drawing(name, sentence(shown), partial(figures.strips, strips, x_label, False, 0.0), name))
    else:
        parts.append(Text(f"There is no complete set of two or more {by}s yet."))
    body = []
    sources: dict[str, tuple[str, ...]] = {}
    for label, some in [(arm.label, [arm]) for arm in arms] + ([("all arms", arms)] if len(arms) > 1 else []):
        names = [arm.name for arm in some]
        part = {cell: value for cell, value in values.items() if cell[0] in names}
        body.append([label, *(significant(statistics.spread(part, over)) for over in (2, 1, 0)), str(len(part))])
        keys = {arm.name: [(c, int(seed)) for name_, c, seed in part if name_ == arm.name] for arm in some}
        sources[label] = tuple(id_ for arm in some for id_ in results.ids(arm.name, keys[arm.name]))
    head = ["standard deviation", "over seeds", "over concepts", "over arms", "trials"]
    caption = f"Standard deviation of the {called(metric)} {where} over one of the three, the other two equal (pooled)."
    parts.append(Table(caption, head, body, sources, name))
    parts.append(limits(f"a spread over few {by}s is uncertain itself, and says nothing of {by}s that were not run"))
    return Section(title, parts, {name: rows})


def _reached(results: Results, arm: Arm, reference: Arm, metric: str, concept: str) -> Row:
    """One concept's cost, a row of the CSV; empty where the two arms have no seed in common yet."""
    ours, theirs = results.of(arm.name), results.of(reference.name)
    keys = [key for key in ours if key[0] == concept and key in theirs]
    cost_, curve = _mean_curve([ours[key] for key in keys], metric)
    base_cost, base_curve = _mean_curve([theirs[key] for key in keys], metric)
    if not curve or not base_curve:
        return {}
    sign = 1 if results.direction(metric) == "lower" else -1
    target = base_curve[-1]
    at = statistics.reach(cost_, [sign * y for y in curve], sign * target)
    base = statistics.reach(base_cost, [sign * y for y in base_curve], sign * target)
    times = 1.0 if at == base else math.inf if at == 0 else base / at  # never: 0
    used = dict.fromkeys([*results.ids(arm.name, keys), *results.ids(reference.name, keys)])
    row: Row = {"metric": metric, "arm": arm.name, "reference": reference.name, "concept": concept, "target": target}
    row |= {"reached": int(at < math.inf), "sample_steps": at if at < math.inf else None, "spent": round(cost_[-1])}
    return row | {"reference_sample_steps": base, "ratio": times, "ids": " ".join(used)}


def _times_sooner(ratios: Sequence[float]) -> statistics.Estimate:
    """The median, as 1 / that of the share of the reference's cost: never (0) is a share that is later than any."""
    e = statistics.median([math.inf if ratio == 0 else 1 / ratio for ratio in ratios])
    mean, low, high = (math.inf if share == 0 else 1 / share for share in (e.mean, e.high, e.low))
    return e._replace(mean=mean, low=low, high=high)


def _mean_curve(trials: Sequence[Trial], metric: str) -> tuple[list[float], list[float]]:
    """(sample-steps, mean over the trials) at the steps where all of them have the metric."""
    shared = set.intersection(*(set(trial.steps(metric)) for trial in trials)) if trials else set()
    steps = sorted(shared)
    means = [float(np.mean([trial.value(metric, step) for trial in trials])) for step in steps]
    return [step * trials[0].batch for step in steps], means


def _shares(points: Sequence[Sequence[Mapping[Key, float]]], directions: Sequence[str], among: Floats) -> list[float]:
    """How often each point is the best of them over the bootstrap's resamples."""
    keys = tuple(key for key in points[0][0] if all(key in both[0] for both in points))
    if not keys:
        return [float("nan")] * len(points)
    drawn = statistics.resampled(keys)
    means = [np.stack([drawn @ np.array([values[key] for key in keys]) for values in both], axis=1) for both in points]
    best = np.argmax(np.stack([statistics.balance(each, directions, among) for each in means]), axis=0)
    return [float(np.mean(best == i)) for i in range(len(points))]


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
