"""The style of every figure, readable at half a page's width, and how figures are saved: the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from photowords import files

# Okabe & Ito's colours, which the colour-blind can tell apart, without their yellow (too pale for a line on white).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
GREY, PALE = "#666666", "#bbbbbb"

HALF = 3.3  # inches: the width of one column of a two-column page
WHOLE = 6.8
STYLE = {
    "font.size": 8,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a caption may hold a dollar sign
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "photowords",  # the same bytes each time
    "figure.dpi": 100,
    "savefig.dpi": 200,
}


MAKER = "photowords"
"""What our PNG files call the program that made them."""


@contextmanager
def canvas(width: float, height: float) -> Iterator[Any]:
    """A figure in inches, made without pyplot (no global state, no window system), in our style whatever the user's."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        yield Figure(figsize=(width, height), layout="constrained", facecolor="white")


def to_png(figure: Any) -> bytes:
    """A figure as a PNG file of 200 dpi."""
    return _saved(figure, format="png", metadata={"Software": MAKER})


def is_ours(path: Path) -> bool:
    """Whether a file is a figure that we made."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.info.get("Software") == MAKER
    except Exception:  # each of its own for what is damaged, or too large: it is none of ours
        return False


def to_svg(figure: Any) -> bytes:
    """A figure as an SVG file."""
    return _saved(figure, format="svg", metadata={"Date": None, "Creator": None})


def write_png(figure: Any, path: Path) -> None:
    """Write a figure as a PNG file, whole or not at all. Raises UserError where it cannot be written."""
    files.write_bytes(path, to_png(figure))


def _saved(figure: Any, **how: Any) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        figure.savefig(file, **how)
    return file.getvalue()
