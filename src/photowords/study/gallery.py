"""The one figure of a report that shows pictures: what each arm draws of each concept."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image, Resampling

from photowords.study.figures import WHOLE, canvas

LEAST_PICTURE = 0.42  # inches: the least side of a picture
GAP = 0.12  # between two arms' pictures, in sides


def gallery(rows: Sequence[tuple[str, Image, Mapping[str, Image]]], columns: Sequence[str]) -> Any:
    """A row for each concept: its name, the photo, and for each column the first pictures of its strip that fit.

    A strip is square pictures side by side, with or without a gap. With many columns fewer of each are shown, so that
    none gets too small.
    """
    names = [textwrap.fill(name, 18) for name, _, _ in rows]
    label = 0.1 + 0.055 * min(18, max(len(name) for name, _, _ in rows))  # inches, for the names at the left
    longest = max(strip.width // strip.height for _, _, strips in rows for strip in strips.values())
    room = (WHOLE - label) / LEAST_PICTURE - 1.15
    count = max(1, min(longest, int(room / len(columns) - GAP)))
    wide = 1.05 * count + GAP  # a strip has gaps of its own
    side = min((WHOLE - label) / (1.15 + len(columns) * wide), 0.95)
    titles = [textwrap.fill(column, max(8, int(side * count / 0.062))) for column in columns]
    lines = 1 + max(title.count("\n") for title in titles)
    with canvas(label + side * (1.15 + len(columns) * wide), 0.1 + 0.14 * lines + side * 1.04 * len(rows)) as figure:
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0.01)
        widths = [1, *[wide] * len(columns)]
        grid = figure.subplots(len(rows), len(widths), squeeze=False, width_ratios=widths)
        for axes_row, name, (_, photo, strips) in zip(grid, names, rows, strict=True):
            for axes, picture in zip(axes_row, [photo, *[strips.get(column) for column in columns]], strict=True):
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if picture is not None:
                    shown = first_of(picture, count)
                    scale = max(1, round(128 / picture.height))  # small pictures are enlarged smoothly
                    shown = shown.resize((shown.width * scale, shown.height * scale), Resampling.BICUBIC)
                    # Not clipped: the name of an image's clip path in SVG is another one each time.
                    axes.imshow(shown, interpolation="antialiased", clip_on=False)
                    axes.set_anchor("W")
            axes_row[0].set_ylabel(name, fontsize=7, labelpad=3, rotation=0, ha="right", va="center")
        for axes, title in zip(grid[0], ["photo", *titles], strict=True):
            axes.set_title(title, fontsize=7.5, loc="left", pad=3)
    return figure


def first_of(strip: Image, count: int) -> Image:
    """The first ``count`` pictures of a strip, or all where it has fewer."""
    has = strip.width // strip.height
    gap = (strip.width - has * strip.height) // max(1, has - 1)
    shown = min(count, has)
    return strip.crop((0, 0, shown * (strip.height + gap) - gap, strip.height))
