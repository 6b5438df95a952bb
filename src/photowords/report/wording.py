"""How a report says its numbers, and what stands under more than one kind of block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from photowords.report.document import Text
from photowords.report.results import ArmLabel, Results
from photowords.report.statistics import Estimate, Key

Row = dict[str, Any]
"""A ``Record`` that is being made."""

OVER = "mean over concepts of the means over seeds, with 95 % intervals over concepts"


def named_arm(results: Results, name: str) -> ArmLabel:
    """The arm of a name that is known to exist."""
    return next(arm for arm in results.arms if arm.name == name)


def joined_ids(results: Results, arm: ArmLabel, keys: Sequence[Key] | Mapping[Key, Any]) -> str:
    """The trials behind some values, for a CSV cell."""
    return " ".join(results.ids(arm.name, keys))


def numbers(e: Estimate) -> Row:
    """An estimate, for a CSV row."""
    return {"mean": e.mean, "low": e.low, "high": e.high, "concepts": e.concepts, "trials": e.values}


def called(metric: str) -> str:
    """A metric's name in a sentence: "held-out loss"."""
    return metric.replace("-loss", " loss").replace("-gain", " gain")


def axis(results: Results, metric: str) -> str:
    """A metric's name with its direction."""
    return f"{called(metric)} ({results.direction(metric)} is better)"


def sentence(text: str) -> str:
    """With a capital letter, unless it begins with a metric's own name."""
    return text if text.split()[0].count("-") and not text.startswith("held-out") else text[0].upper() + text[1:]


def decimals(estimates: Sequence[Estimate]) -> int:
    """So many that half the narrowest interval shows two digits; three digits of the mean where there is none."""
    halves = [(e.high - e.low) / 2 for e in estimates if e.high > e.low]
    size = min(halves) if halves else min((abs(e.mean) for e in estimates if e.mean), default=1) / 10
    return min(6, max(0, 1 - math.floor(math.log10(size))))


def interval(e: Estimate, places: int, sign: bool = False) -> str:
    """ "0.076 [0.066, 0.088]"."""
    form = f"{'+' if sign else ''}.{places}f"
    between = "" if e.low != e.low else f" [{e.low:{form}}, {e.high:{form}}]"
    return f"{e.mean:{form}}{between}".replace("-", "−")


def significant(value: float) -> str:
    """Three digits, never as a power of ten where it is large; a dash for NaN, and 0 for what is but rounding."""
    if value != value:
        return "–"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return "0" if abs(value) < 1e-12 else f"{value:.3g}"


def cost(e: Estimate, spent: float) -> str:
    """Sample-steps with their interval; infinite is more than the ``spent`` that did not suffice: "> 4,000"."""

    def text(value: float) -> str:
        return f"> {spent:,.0f}" if value == math.inf else f"{value:,.0f}"

    return text(e.mean) + ("" if e.low != e.low or e.low == math.inf else f" [{text(e.low)}, {text(e.high)}]")


def ratio(value: float) -> str:
    """ "3.4×"; 0 stands for never, infinite for no cost at all, NaN for no such thing."""
    if math.isnan(value):
        return "–"
    return "not reached" if value == 0 else "at the start" if value == math.inf else f"{significant(value)}×"


def absent(metric: str, where: str = "") -> Text:
    """In the place of what cannot be shown."""
    return Text(f"No finished trial has {called(metric)}{where}: the study does not measure it there, or has not yet.")


def limits(what: str) -> Text:
    """The last line of a block."""
    return Text(f"What this does not show: {what}.")
