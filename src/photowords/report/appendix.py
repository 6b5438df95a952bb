"""The last sections of a report: what got worse, what was run and how its numbers are made, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photowords import pocket
from photowords.metrics import METRICS
from photowords.report import statistics
from photowords.report.alike import alike
from photowords.report.document import Part, Record, Section, Table, Text
from photowords.report.results import SMOOTHED, Results
from photowords.report.wording import OVER, Row, decimals, interval, limits, numbers

SHOWN = {"training-loss": f"shown is the {SMOOTHED}"}
"""What a report adds to the definition of a metric."""
RISE = "held-out-gain"
ABOVE = "above-start"
LISTED = ("name", "question", "trials", "arms", "concepts", "report")
"""Of plan.json, what stands elsewhere in the report."""


def above_start(study: Results) -> Section:
    """Every checkpoint where a trial's held-out loss lies above its start's: there learning did harm."""
    rows: list[Record] = []
    body = []
    sources: dict[str, tuple[str, ...]] = {}
    for arm in study.arms:
        for step in study.steps(RISE, arm.name):
            rises = {key: -gain for key, gain in study.values(arm.name, RISE, step).items()}
            if not (worse := [key for key, rise in rises.items() if rise > 0]):
                continue
            label, e = f"{arm.label}, step {step}", statistics.estimate(rises)
            sources[label] = study.ids(arm.name, worse)
            concepts = len({concept for concept, _ in worse})
            body.append([label, f"{len(worse)} of {len(rises)}", interval(e, decimals([e]), sign=True)])
            row: Row = {"arm": arm.name, "step": step, "trials_above": len(worse), "concepts_above": concepts}
            rows.append(row | numbers(e) | {"ids": " ".join(sources[label])})
    if not rows:
        return Section("Above the start", [Text("No trial's held-out loss lies above its start's at any checkpoint.")])
    caption = (
        "Where learning did harm: checkpoints at which the held-out loss of a trial lies above its own start's, and "
        f"the loss minus the start's, {OVER}, of all the arm's trials."
    )
    head = ["arm and step", "trials above their start", "held-out loss minus the start's"]
    why = "a loss that rises at first may fall below the start's later, and one rise in many may be chance"
    return Section("Above the start", [Table(caption, head, body, sources, ABOVE), limits(why)], {ABOVE: rows})


def protocol(study: Results) -> Section:
    """What was run, on what, and how the numbers are made."""
    plan = dict(study.plan)
    each = plan.get("protocol")
    if isinstance(each, dict) and each and all(one == next(iter(each.values())) for one in each.values()):
        plan["protocol"] = next(iter(each.values()))  # told for each arm, and the same in all
    told = _flat({key: value for key, value in plan.items() if key not in LISTED}) | {"concepts": _line(study.concepts)}
    arms: list[Any] = study.plan["arms"]
    ways = {arm["name"]: {key: v for key, v in arm.items() if key not in ("name", "label")} for arm in arms}
    for trial in study.trials:  # of older plans
        ways[trial.arm].setdefault("settings", trial.spec.get("settings", {}))
    own = [way.get("settings", {}) for way in ways.values()]
    shared = {key: value for key, value in own[0].items() if all(other.get(key) == value for other in own)}
    told |= _flat({"settings": shared})
    for way, settings in zip(ways.values(), own, strict=True):
        way["settings"] = {key: value for key, value in settings.items() if key not in shared}
    shown = [metric for metric in study.metrics if study.steps(metric)]
    metrics = [[m, study.direction(m), METRICS[m].range, "; ".join([study.how(m), *_added(study, m)])] for m in shown]
    text = (
        "Means are over concepts of the means over seeds, so that each concept weighs the same. Intervals are 95 %, by "
        "Student's t over the concepts' means; the noise of training is the concept's and seed's own (and the same "
        "for all arms of one batch and kind of draws), so they cover the choice of seeds too; pictures begin from the "
        "same noise, and held-out tuples have the same, in all concepts, and what other noise would give is not "
        "covered. Intervals of medians are pairs of order statistics; of fewer than six "
        "concepts, the whole range, which covers less. One concept has no interval. Shares of a best stop are of "
        f"{statistics.RESAMPLES:,} resamples of the concepts, generator seed {statistics.SEED}. Differences are paired "
        "by concept and seed."
    )
    unshown = "anything about models, photos or settings other than these"
    if study.plan.get("suite") == "pocket":
        unshown += (
            f". The pocket model draws a small world of its own at {pocket.SIDE} pixels: its losses and its pocket- "
            "metrics compare with nothing published"
        )
    parts: list[Part] = [
        Text(text),
        Table("What was run, from plan.json.", ["what", "value"], [[key, value] for key, value in told.items()]),
        Table(
            "The arms.",
            ["arm", "in figures", "how"],
            [[a["name"], a.get("label", ""), _line(ways[a["name"]])] for a in arms],
        ),
        Table("The metrics.", ["metric", "better", "range", "how"], metrics),
        limits(unshown),
    ]
    return Section("Protocol", parts)


def _added(study: Results, metric: str) -> list[str]:
    if metric != "held-out-loss":
        return [SHOWN[metric]] if metric in SHOWN else []
    first, *others = (arm.name for arm in study.arms)
    apart = [other for other in others if not alike(study, metric, first, other)]
    return [f"other tuples in {', '.join(apart)}, whose numbers do not compare" if apart else "one set for all arms"]


def trials(study: Results) -> Section:
    """The trials that all of the report came from, with the hashes of their files."""
    columns = ("ids", "concept", "arm", "seed", "sentence", "placeholders", "steps", "diverged", "sha256")
    rows: list[Record] = [
        {"ids": trial.id, "concept": trial.concept, "arm": trial.arm, "seed": trial.seed}
        | {"sentence": trial.sentence, "placeholders": trial.placeholders, "steps": max(trial.checkpoints, default=0)}
        | {"diverged": trial.diverged, "sha256": trial.sha256}
        for trial in study.trials
    ]
    body = []
    sources: dict[str, tuple[str, ...]] = {}
    for arm in study.arms:
        own = list(study.of(arm.name).values())
        vectors = sorted({trial.placeholders for trial in own})
        count = "–" if not vectors else f"{vectors[0]}" if len(vectors) == 1 else f"{vectors[0]} to {vectors[-1]}"
        body.append([arm.label, str(len(own)), count, own[0].sentence if own else "–"])
        sources[arm.label] = tuple(trial.id for trial in own)
    caption = "The finished trials: trials/ID.json holds each, tables/trials.csv the SHA-256 of each."
    head = ["arm", "trials", "placeholders", "starts from, for example"]
    parts: list[Part] = [Table(caption, head, body, sources, "trials")]
    if diverged := [f"{trial.id} ({trial.diverged})" for trial in study.trials if trial.diverged]:
        parts.append(Text(f"Stopped early, and counted where they were measured: {'; '.join(diverged)}."))
    if study.missing:
        more = f" and {len(study.missing) - 10} more" if len(study.missing) > 10 else ""
        parts.append(Text(f"Not finished: {', '.join(study.missing[:10])}{more}."))
    return Section("Trials", parts, {"trials": rows or [dict.fromkeys(columns)]})


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested tables as one, without what is empty: "settings.steps" -> "100"."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        elif value not in (None, "", []):
            flat[f"{above}{key}"] = _line(value)
    return flat


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {text}" for key, text in _flat(value).items())
    return ", ".join(map(_line, value)) if isinstance(value, list | tuple) else str(value)
