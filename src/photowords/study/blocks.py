"""The [[report]] blocks that show what was measured: curves, tables, pictures.

Each is a function of (results, block, name) that returns a ``Section``; ``name`` begins the names of its files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from photowords.study import figures, statistics
from photowords.study.document import Drawing, Part, Photo, Record, Section, Strong, Table, Text
from photowords.study.figures import Series
from photowords.study.gallery import gallery as draw_gallery
from photowords.study.results import SMOOTHED, Arm, Results
from photowords.study.statistics import Comparison, Estimate
from photowords.study.wording import (
    OVER,
    Block,
    Row,
    absent,
    axis,
    called,
    chosen_arms,
    decimals,
    interval,
    joined_ids,
    limits,
    named_arm,
    numbers,
    sentence,
)

POINTS = 60  # of a training loss: as many as a figure of this size can show


def curves(results: Results, block: Block, name: str) -> Section:
    """Metrics against steps, a panel each, like Figures 3 to 8 of the paper."""
    against, log = block.get("x", "steps"), bool(block.get("log"))
    rows: list[Record] = []
    panels: dict[str, list[Series]] = {}
    for metric in map(results.metric, block["metrics"]):
        panels[metric] = []
        for arm in chosen_arms(results, block):
            line, behind = _curve(results, arm, metric, against, log)
            rows += behind
            panels[metric] += [line] if behind else []
    parts: list[Part] = [absent(metric) for metric, lines in panels.items() if not lines]
    # The first checkpoint, not the first step, begins a log axis: what is before it is noise.
    seen = {metric: [x for line in lines for x in line.x if x > 0] for metric, lines in panels.items()}
    measured = [x for metric, found in seen.items() for x in found if metric != "training-loss"]
    everything = [x for found in seen.values() for x in found] or [1]
    ends = min(measured or everything), max(everything)
    for metric, lines in panels.items():
        if not lines:
            continue
        dense = metric == "training-loss"
        counts = sorted({row["trials"] for row in rows if row["metric"] == metric})
        trials = (
            f"{counts[0]} to {counts[-1]} trials" if len(counts) > 1 else f"{counts[0]} trial{'s' * (counts[0] > 1)}"
        )
        smooth = f", each point the {SMOOTHED} if that is more" if dense else ""
        caption = sentence(f"{called(metric)} against {against}{smooth}: {OVER} (shaded); {trials} an arm.")
        x_label = f"training {against} (steps × batch)" if against == "sample-steps" else against
        y_label = axis(results, metric) + (f"\n{SMOOTHED}" if dense else "")
        across = _shown(results, metric, lines)
        draw = partial(figures.curves, lines, x_label, y_label, log, ends, across)
        parts.append(Drawing(f"{name}-{metric}", caption, draw, name))
    why = "concepts differ in level, so shades that overlap do not say that arms are equal: paired differences do"
    if panels.get("training-loss"):
        why += (
            "; the training loss also falls when a photo is learned by heart; the held-out loss is of other noise, "
            "timesteps and templates, but of the same photo"
        )
    return Section(str(block.get("title", "Curves")), [*parts, limits(why)], {name: rows} if rows else {})


def table(results: Results, block: Block, name: str) -> Section:
    """Metrics of the arms after a step (or several), and paired differences to a reference arm."""
    metrics = [results.metric(metric) for metric in block["metrics"]]
    step = block.get("step")
    steps: list[int | None] = list(step) if isinstance(step, list) else [step]
    reference = named_arm(results, block["reference"]) if block.get("reference") else None
    cells: dict[str, dict[str, Estimate]] = {metric: {} for metric in metrics}  # metric -> row's label -> estimate
    pairs: dict[str, dict[str, Comparison]] = {metric: {} for metric in metrics}
    own: dict[str, dict[str, None]] = {}  # row's label -> ids, in order
    both: dict[str, dict[str, None]] = {}
    rows: list[Record] = []
    for arm in chosen_arms(results, block):
        for asked in steps:
            for metric in metrics:
                at = max(results.steps(metric, arm.name), default=0) if asked is None else asked
                if not (values := results.values(arm.name, metric, at)):
                    continue
                label = f"{arm.label}, step {at}" if len(steps) > 1 else arm.label
                cells[metric][label] = statistics.estimate(values)
                ids = results.ids(arm.name, values)
                own.setdefault(label, {}).update(dict.fromkeys(ids))
                row: Row = {"metric": metric, "better": results.direction(metric), "arm": arm.name, "step": at}
                row |= numbers(cells[metric][label]) | {"ids": " ".join(ids)}
                if reference:
                    there = max(results.steps(metric, reference.name), default=0) if asked is None else asked
                    others = results.values(reference.name, metric, there) if arm != reference else {}
                    compared = statistics.compare(values, others, results.direction(metric))
                    theirs = results.ids(reference.name, [key for key in values if key in others])
                    row |= _compared(reference.name, compared) | {"reference_ids": " ".join(theirs)}
                    if compared:
                        pairs[metric][label] = compared
                        both.setdefault(label, {}).update(dict.fromkeys((*ids, *theirs)))
                rows.append(row)
    parts: list[Part] = [absent(metric) for metric in metrics if not cells[metric]]
    title = str(block.get("title", "Table"))
    if not rows:
        return Section(title, parts)
    where = "after each arm's last step" if step is None else f"after step {' and '.join(map(str, steps))}"
    shown = [metric for metric in metrics if cells[metric]]
    head = [axis(results, metric) for metric in shown]
    body = [
        [label, *(_score(label, cells[m], results.direction(m)) for m in shown), str(len(own[label]))] for label in own
    ]
    caption = f"{sentence(OVER)}, {where}. Bold: the best, where its interval overlaps no other row's."
    parts.append(
        Table(caption, ["arm", *head, "trials"], body, {label: tuple(ids) for label, ids in own.items()}, name)
    )
    if reference and both:
        body = [[label, *(_difference(label, pairs[metric]) for metric in shown)] for label in both]
        caption = (
            f"Paired differences {where}: each arm minus {reference.label} for the same concept and seed, with 95 % "
            "intervals; and in how many concepts (mean over seeds) and pairs the arm is better (a tie is not)."
        )
        sources = {label: tuple(ids) for label, ids in both.items()}
        parts.append(Table(caption, [f"minus {reference.label}", *head], body, sources, name))
    why = "an interval covers the choice of concepts like these and of seeds, not of models, settings or prompts"
    return Section(title, [*parts, limits(f"{why}; with few concepts it is too narrow")], {name: rows})


def gallery(results: Results, block: Block, name: str) -> Section:
    """Table A.1 of the paper (picture, class, caption) and its Figure A.2 (pictures after a step)."""
    title = str(block.get("title", "Gallery"))
    files = (results.folder / "pictures").glob("*/step_*.png")
    kept = sorted({int(file.stem[5:]) for file in files if file.stem[5:].isdecimal()})
    step = block.get("step", kept[-1] if kept else 0)
    rows: list[Record] = []
    body: list[list[str]] = []
    pictures: list[tuple[str, str, dict[str, str]]] = []  # concept, its photo, arm's label -> its strip
    sources: dict[str, tuple[str, ...]] = {}
    for concept in results.concepts:
        photo = f"photos/{concept}.png"
        trials = [trial for trial in results.trials if trial.concept == concept]
        if not trials or not (results.folder / photo).is_file():
            continue
        named = next((trial for trial in trials if trial.label), None)
        told = next((trial for trial in trials if trial.caption), None)
        used = [trial.id for trial in (named, told) if trial]
        strips: dict[str, str] = {}
        for arm in chosen_arms(results, block):
            for trial in trials:
                file = f"pictures/{trial.id}/step_{step:06d}.png"
                if trial.arm == arm.name and arm.label not in strips and (results.folder / file).is_file():
                    strips[arm.label] = file
                    used.append(trial.id)
        label, caption = named.label if named else None, told.caption if told else None
        pictures.append((concept, photo, strips))
        sources[concept] = tuple(dict.fromkeys(used))
        body.append([concept, Photo(photo), label or "–", caption or "–"])
        rows.append({"concept": concept, "class": label, "caption": caption, "ids": " ".join(sources[concept])})
    if not rows:
        return Section(title, [Text("No finished trial has kept its photo yet.")])
    about = (
        "Each concept's photo, what the class start and what the captioner say of it; – where no finished arm asked."
    )
    parts: list[Part] = [Table(about, ["concept", "picture", "class", "caption"], body, sources, name)]
    columns = [arm.label for arm in results.arms if any(arm.label in strips for _, _, strips in pictures)]
    if columns:
        shown = (
            f"Pictures after step {step}: a row for each concept; its photo, then for each arm the first samples of "
            "its first finished seed, as many as fit, none chosen."
        )
        parts.append(Drawing(name, shown, partial(_pictures, results, pictures, columns), name, photos=True))
    else:
        parts.append(Text(f"No finished trial has kept pictures after step {step}."))
    parts.append(limits("a few pictures of each concept are an impression, not a measurement"))
    return Section(title, parts, {name: rows})


def stands_out(label: str, column: Mapping[str, Estimate], direction: str) -> bool:
    """Whether a row is the best of its column, by an interval that no other row's overlaps; never of one row alone."""
    own, others = column[label], [e for name, e in column.items() if name != label]
    if direction == "lower":
        return bool(others) and all(own.high < other.low for other in others)
    return bool(others) and all(own.low > other.high for other in others)


def _curve(results: Results, arm: Arm, metric: str, against: str, log: bool) -> tuple[Series, list[Record]]:
    """An arm's line and its numbers, none where it has not the metric."""
    steps = results.steps(metric, arm.name)
    if metric == "training-loss" and len(steps) > POINTS:  # evenly apart on the axis, the first and last among them
        space = np.geomspace if log else np.linspace
        steps = sorted({int(step) for step in np.rint(space(steps[0], steps[-1], POINTS))})
    points = {step: results.values(arm.name, metric, step) for step in steps}
    steps = [step for step in steps if points[step]]  # a loss that is no number leaves none
    values = [points[step] for step in steps]
    estimates = [statistics.estimate(each) for each in values]
    batch = next((trial.batch for trial in results.of(arm.name).values()), 1)
    rows: list[Record] = [
        {"metric": metric, "arm": arm.name, "step": step, "sample_steps": round(step * batch)}
        | numbers(e)
        | {"ids": joined_ids(results, arm, each)}
        for step, each, e in zip(steps, values, estimates, strict=True)
    ]
    x = [step * batch for step in steps] if against == "sample-steps" else steps
    mean, low, high = ([e[place] for e in estimates] for place in range(3))
    return Series(arm.number, arm.label, x, mean, low, high, dense=metric == "training-loss"), rows


def _shown(results: Results, metric: str, lines: Sequence[Series]) -> tuple[float, float]:
    """The least and the largest number that any of the report's panels of a metric shows, so that they compare."""
    blocks = [
        b for b in results.plan["report"] if b["kind"] == "curves" and metric in map(results.metric, b["metrics"])
    ]
    here = {line.number for line in lines}
    others = {arm.number: arm for block in blocks for arm in chosen_arms(results, block) if arm.number not in here}
    drawn = [*lines, *(_curve(results, arm, metric, "steps", False)[0] for arm in others.values())]
    values = [value for line in drawn for value in (*line.y, *line.low, *line.high) if value == value]
    return min(values), max(values)


def _pictures(results: Results, rows: Sequence[tuple[str, str, Mapping[str, str]]], columns: Sequence[str]) -> Any:
    from photowords import images

    def load(file: str) -> Any:
        return images.load_photo(results.folder / file)

    loaded = [(name, load(photo), {c: load(file) for c, file in strips.items()}) for name, photo, strips in rows]
    return draw_gallery(loaded, columns)


def _score(label: str, column: Mapping[str, Estimate], direction: str) -> str:
    if label not in column:
        return "–"
    text = interval(column[label], decimals(list(column.values())))
    return Strong(text) if stands_out(label, column, direction) else text


def _difference(label: str, column: Mapping[str, Comparison]) -> str:
    if label not in column:
        return "–"
    compared = column[label]
    d = compared.difference
    text = interval(d, decimals([each.difference for each in column.values()]), sign=True)
    return f"{text}; {compared.concepts_won} of {d.concepts} concepts, {compared.pairs_won} of {d.values} pairs"


def _compared(reference: str, compared: Comparison | None) -> Row:
    if compared is None:
        fields = (
            "difference",
            "difference_low",
            "difference_high",
            "concepts_won",
            "of_concepts",
            "pairs_won",
            "of_pairs",
        )
        return {"reference": reference, **dict.fromkeys(fields)}
    d = compared.difference
    row: Row = {"reference": reference, "difference": d.mean, "difference_low": d.low, "difference_high": d.high}
    won: Row = {"concepts_won": compared.concepts_won, "of_concepts": d.concepts, "pairs_won": compared.pairs_won}
    return row | won | {"of_pairs": d.values}
