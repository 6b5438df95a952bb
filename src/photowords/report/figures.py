"""The charts of a report: curves, strips of dots, two metrics against each other.

Arms have the same colour, line and marker everywhere, by their order in the study. Shades and bars are 95 % intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from photowords.plots import COLOURS, GREY, HALF, canvas

LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)), (0, (3, 1)), "-")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Series:
    """An arm's values against x, with the ends of their intervals (NaN for none); all of one length.

    Attributes:
        number: the arm's place in the study.
        steps: a label for each point, where it is not x itself.
        marked: the point to ring, if any.
        dense: many points: no markers.
    """

    number: int
    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    dense: bool = False
    steps: Sequence[int] = ()
    x_low: Sequence[float] = ()
    x_high: Sequence[float] = ()
    marked: int | None = None


class Strip(NamedTuple):
    """One row of dots: a label, the dots, their mean (or median) and its interval, and what stands at the right."""

    number: int
    label: str
    dots: Sequence[float]
    middle: float
    low: float
    high: float
    note: str = ""


def curves(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    log: bool,
    ends: tuple[float, float],
    across: tuple[float, float],
) -> Any:
    """One panel: a metric against steps.

    ``ends``: the first x above 0 and the last, the same in a block's panels; ``across``: the least and the largest y,
    the same in all panels of the metric.
    """
    with canvas(HALF, 2.4 + _legend_height(series)) as figure:
        axes = figure.subplots()
        for line in series:
            style = _line(line.number) | ({"marker": ""} if line.dense else {})
            axes.plot(line.x, line.y, label=line.label, **style)
            axes.fill_between(
                line.x, line.low, line.high, color=style["color"], alpha=min(0.15, 0.6 / len(series)), linewidth=0
            )
        first, last = ends
        if log and last > first:
            _log_with_zero(axes.xaxis, first, last)
            axes.set_xlim(-0.12 * first, last * 1.25)
        else:
            axes.set_xlim(-0.03 * last, 1.03 * last)
            axes.locator_params(axis="x", nbins=6)
            axes.xaxis.set_major_formatter(lambda x, _: short(x))
        axes.update_datalim([(last, across[0]), (last, across[1])])
        axes.autoscale_view(scalex=False)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
        axes.set_axisbelow(True)
        _legend(figure, axes, series)
    return figure


def strips(rows: Sequence[Strip], x_label: str, log: bool = False, line_at: float | None = None, end: str = "") -> Any:
    """Rows of dots with intervals. On a log axis 0 stands at the left and infinite values in a column named ``end``."""
    height = 0.3 if len(rows) < 12 or any(row.note for row in rows) else 0.19
    with canvas(HALF, 0.75 + height * len(rows)) as figure:
        axes = figure.subplots()
        numbers = [value for row in rows for value in (*row.dots, row.middle, row.low, row.high)]
        positive = [value for value in numbers if 0 < value < math.inf]
        first, last = (min(positive), max(positive)) if positive else (1, 10)
        beyond = last * (last / first) ** 0.15 * 1.5  # where infinite values are drawn
        for y, row in enumerate(rows):
            _strip(axes, y, row, beyond)
        if log:
            endless = any(value == math.inf for value in numbers)
            _log_with_zero(axes.xaxis, first, last, {beyond: end} if endless else {})
            axes.set_xlim(
                -0.15 * first if 0 in numbers else first / 1.4,
                beyond * (last / first) ** 0.08 * 1.3 if endless else last * 1.3,
            )
        else:
            axes.locator_params(axis="x", nbins=5)
        if line_at is not None:
            axes.axvline(line_at, color=GREY, linewidth=0.7, zorder=0)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color="#e6e6e6", linewidth=0.5)
        axes.set_axisbelow(True)
        figure.supxlabel(x_label, fontsize=8)  # under the whole: the rows' names leave the axes little width
    return figure


def _strip(axes: Any, y: int, row: Strip, beyond: float) -> None:
    """One row: dots, the interval, the mean and the note; infinite values stand at ``beyond``."""
    colour = COLOURS[row.number % len(COLOURS)]
    offsets = [0.22 * (((i * 0.618) % 1) - 0.5) * 2 for i in range(len(row.dots))]  # spread, and the same each time
    for finite, marker, face in ((True, "o", colour), (False, ">", "none")):
        at = [i for i, value in enumerate(row.dots) if (value < math.inf) is finite]
        axes.scatter(
            [min(row.dots[i], beyond) for i in at],
            [y + offsets[i] for i in at],
            s=9,
            marker=marker,
            facecolor=face,
            edgecolor=colour,
            linewidth=0.6,
            alpha=0.45,
        )
    if row.low == row.low:
        axes.plot([min(row.low, beyond), min(row.high, beyond)], [y, y], color=colour, linewidth=2)
    style = {"color": colour, "marker": _line(row.number)["marker"], "markersize": 6, "markeredgecolor": "white"}
    axes.plot(min(row.middle, beyond), y, zorder=3, **style)
    axes.text(1.02, y, row.note, transform=axes.get_yaxis_transform(), va="center", fontsize=7)


def frontier(series: Sequence[Series], x_label: str, y_label: str) -> Any:
    """Two metrics against each other, a point for each step; step 0 hollow, the marked step ringed."""
    with canvas(HALF, 2.95 + _legend_height(series)) as figure:
        axes = figure.subplots()
        for line in series:
            style = _line(line.number)
            colour = style["color"]
            axes.plot(line.x, line.y, label=line.label, **style)
            bars = {"color": colour, "alpha": 0.25, "linewidth": 0.8}
            axes.hlines(line.y, line.x_low, line.x_high, **bars)
            axes.vlines(line.x, line.low, line.high, **bars)
            if line.steps[0] == 0:
                axes.plot(line.x[0], line.y[0], **(style | {"markerfacecolor": "white", "markersize": 5.5}))
            if line.marked is not None:
                ring = {"s": 90, "facecolor": "none", "edgecolor": colour, "linewidth": 1.2, "zorder": 4}
                axes.scatter([line.x[line.marked]], [line.y[line.marked]], **ring)
        axes.margins(0.09)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(color="#e6e6e6", linewidth=0.5)
        axes.set_axisbelow(True)
        _legend(figure, axes, series)
        _name_points(figure, axes, series)
    return figure


def _line(number: int) -> dict[str, Any]:
    # After seven arms the colours come again, each with another line and marker.
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[(number + 3 * turn) % len(LINES)],
        "marker": MARKERS[(number + 3 * turn) % len(MARKERS)],
    }


def _legend(figure: Any, axes: Any, series: Sequence[Series]) -> None:
    """Above the axes, where it covers nothing, in as many columns as fit."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=_columns(series),
        handlelength=2.4,
        columnspacing=1.2,
        labelspacing=0.25,
        borderaxespad=0.1,
    )


def _columns(series: Sequence[Series]) -> int:
    widest = max(len(line.label) for line in series) * 0.062 + 0.42  # inches, at 7 points
    return max(1, min(len(series), int(HALF / widest)))


def _legend_height(series: Sequence[Series]) -> float:
    """Inches: a figure is higher by its legend, so that the axes are as high whatever the number of arms."""
    return 0.14 * math.ceil(len(series) / _columns(series))


def _log_with_zero(axis: Any, first: float, last: float, named: Mapping[float, str] | None = None) -> None:
    """A log axis from ``first`` on with a 0 before it: linear between the two, so that step 0 has its place."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    named = named or {}
    axis._set_axes_scale("symlog", linthresh=first, linscale=0.3)
    low, high = math.floor(math.log10(first)), math.ceil(math.log10(last))
    decades = math.log10(last / first)
    parts = (1,) if decades > (2 if named else 3) else (1, 3) if decades > 1.5 else (1, 2, 5)
    ticks = [part * 10.0**power for power in range(low, high + 1) for part in parts]
    ticks = [tick for tick in ticks if first * 0.75 <= tick <= last * 1.2]
    ticks = ticks or [first]
    axis.set_major_locator(FixedLocator([0, *ticks, *named]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: named.get(x, "0" if x == 0 else short(x))))
    axis.set_minor_locator(NullLocator())


def short(number: float) -> str:
    """A count for an axis: 20000 is 20k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _name_points(figure: Any, axes: Any, series: Sequence[Series]) -> None:
    """The step beside each point, left out where it would lie on another one's."""
    figure.draw_without_rendering()  # the layout decides where points fall
    taken: list[tuple[float, float]] = []
    for line in series:
        # The ringed step is named before all others, then the first and the last.
        order = sorted(range(len(line.x)), key=lambda i: (i != line.marked, i not in (0, len(line.x) - 1), i))
        for i in order:
            x, y = axes.transData.transform((line.x[i], line.y[i])) / figure.dpi * 72
            if all(abs(x - a) > 17 or abs(y - b) > 9 for a, b in taken):
                taken.append((x, y))
                axes.annotate(
                    short(line.steps[i]),
                    (line.x[i], line.y[i]),
                    (4, 3),
                    textcoords="offset points",
                    fontsize=7,
                    color=COLOURS[line.number % len(COLOURS)],
                    annotation_clip=False,
                )
