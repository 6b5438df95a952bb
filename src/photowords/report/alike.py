"""Which arms' numbers of a metric compare: those that were measured alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from photowords.metrics import METRICS
from photowords.report.document import Text
from photowords.report.results import ArmLabel, Results, TrialResult
from photowords.report.wording import called

TUPLES = ("learnable_property", "held_out", "background_weight")
"""The settings that the held-out loss's tuples depend on, beside the photo's square and its mask."""


def alike(results: Results, metric: str, arm: str, other: str) -> bool:
    """Whether two arms' numbers of a metric are, concept by concept, of the same tuples, or of pictures of the same
    prompts and the same square of the photo."""
    found: dict[str, set[str]] = {}
    for trial in (*results.of(arm).values(), *results.of(other).values()):
        found.setdefault(trial.concept, set()).add(json.dumps(_measured(trial, metric), sort_keys=True))
    return all(len(told) == 1 for told in found.values())


def split(
    results: Results, first: ArmLabel, arms: Sequence[ArmLabel], *metrics: str
) -> tuple[list[ArmLabel], list[ArmLabel]]:
    """Those of the arms whose numbers compare with the first's, and the others."""
    same = [arm for arm in arms if all(alike(results, metric, first.name, arm.name) for metric in metrics)]
    return same, [arm for arm in arms if arm not in same]


def left_out(arms: Sequence[ArmLabel], first: ArmLabel, metric: str = "") -> list[Text]:
    """What is said of arms that do not compare with the first one, in a metric or at all."""
    if not arms:
        return []
    told = ", ".join(arm.label for arm in arms)
    of = f" of {called(metric)}" if metric else ""
    return [Text(f"Left out{of}: {told}, measured on other tuples or by other prompts than {first.label}.")]


def _measured(trial: TrialResult, metric: str) -> dict[str, Any]:
    """Of what a trial was told, all that decides on what a metric looks at, beside the photos."""
    settings, protocol = trial.spec.get("settings", {}), trial.spec.get("protocol") or {}
    if METRICS[metric].measure == "run":
        told = {name: settings.get(name) for name in TUPLES}
    else:
        told = {name: protocol.get(name) for name in ("prompts", "edits")}
    # A photo that is square, and has no mask, is the same square however it is made one.
    return told | {"resize": settings.get("resize") if trial.spec.get("cut", True) else None}
