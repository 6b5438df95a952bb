"""The one figure of a report that shows pictures: strips of samples in rows and columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL.Image import Image, Resampling

from photowords.plots import WHOLE, canvas

LEAST_PICTURE = 0.42  # inches: the least side of a picture
GAP = 0.12  # between two columns' pictures, in sides
LETTER = 0.058  # inches: about a letter of 7 points
LONGEST = 18  # letters of a row's label on one line


class Row(NamedTuple):
    """A label, the photo at the left (None for a blank), and a strip for each column (None where there is none)."""

    label: str
    photo: Image | None
    strips: Sequence[Image | None]


def gallery(rows: Sequence[Row], columns: Sequence[str]) -> Any:
    """Labels and photos at the left, then for each column the first pictures of its strips that fit.

    A strip is square pictures side by side, with or without a gap. With many columns fewer of each are shown, so that
    none gets too small.
    """
    labels = [textwrap.fill(row.label, LONGEST) for row in rows]
    margin = 0.1 + LETTER * max(len(line) for label in labels for line in label.splitlines())
    longest = max(strip.width // strip.height for row in rows for strip in row.strips if strip)
    room = (WHOLE - margin) / LEAST_PICTURE - 1.15
    count = max(1, min(longest, int(room / len(columns) - GAP)))
    wide = 1.05 * count + GAP  # a strip has gaps of its own
    side = min((WHOLE - margin) / (1.15 + len(columns) * wide), 0.95)
    titles = [textwrap.fill(column, max(8, int(side * wide / LETTER))) for column in columns]
    lines = 1 + max(title.count("\n") for title in titles)
    with canvas(margin + side * (1.15 + len(columns) * wide), 0.1 + 0.14 * lines + side * 1.04 * len(rows)) as figure:
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0.01)
        widths = [1.15, *[wide] * len(columns)]
        grid = figure.subplots(len(rows), len(widths), squeeze=False, width_ratios=widths)
        for axes_row, label, row in zip(grid, labels, rows, strict=True):
            for axes, picture in zip(axes_row, [row.photo, *row.strips], strict=True):
                _show(axes, picture, count)
            axes_row[0].set_ylabel(label, fontsize=7, labelpad=3, rotation=0, ha="right", va="center")
        for axes, title in zip(grid[0], ["photo", *titles], strict=True):
            axes.set_title(title, fontsize=7, loc="left", pad=3)
    return figure


def _show(axes: Any, picture: Image | None, count: int) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if picture is None:
        return
    shown = first_of(picture, count)
    scale = max(1, round(128 / picture.height))  # small pictures are enlarged smoothly
    shown = shown.resize((shown.width * scale, shown.height * scale), Resampling.BICUBIC)
    # Not clipped: the name of an image's clip path in SVG is another one each time.
    axes.imshow(shown, interpolation="antialiased", clip_on=False)
    axes.set_anchor("W")


def first_of(strip: Image, count: int) -> Image:
    """The first ``count`` pictures of a strip, or all where it has fewer."""
    has = strip.width // strip.height
    gap = (strip.width - has * strip.height) // max(1, has - 1)
    shown = min(count, has)
    return strip.crop((0, 0, shown * (strip.height + gap) - gap, strip.height))
