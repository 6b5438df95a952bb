"""The table of scores that ``photowords evaluate`` prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

CAPTION = (
    "value ± sample standard deviation over pictures or tuples (standard error of the value over seeds or tuples; "
    "of a difference, which is learned minus start: paired). It says nothing of other photos and runs."
)


def show(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """One table: a line for each run's start and one for what it learned, the metrics across; and how each was made."""
    from rich.console import Console
    from rich.table import Table

    from photowords.metrics import METRICS

    names = list(dict.fromkeys(name for row in rows for scores in row["scores"].values() for name in scores))
    table = Table("run", "", caption=CAPTION)
    ways: dict[str, list[str]] = {}
    for name in names:
        found = [scores[name] for row in rows for scores in row["scores"].values() if name in scores]
        ways.setdefault(" / ".join(dict.fromkeys(score["how"] for score in found)), []).append(name)
        counts = " / ".join(dict.fromkeys(map(_counted, found)))
        head = f"{name} {METRICS[name].arrow}".replace("-", "-\n")
        table.add_column(f"{head}\n{counts}", justify="right", overflow="fold")
    for row in rows:
        for which, scores in row["scores"].items():
            first = which == next(iter(row["scores"]))
            cells = [_cell(scores.get(name), "+" if which == "difference" else "") for name in names]
            table.add_row(Path(row["run"]).name if first else "", which, *cells)
        table.add_section()
    stream = sys.stderr if args.json else sys.stdout
    width = None if stream.isatty() else 200
    console = Console(file=stream, width=width, markup=False, emoji=False, highlight=False)  # one may be called [red]
    console.print(table)
    for how, alike in ways.items():
        console.print(f"{', '.join(alike)}: {how}", soft_wrap=True)


def _counted(score: dict[str, Any]) -> str:
    """What the numbers are of: "3 prompts x 8 seeds", or "96 tuples"."""
    if (seeds := score["seeds"]) is None:
        return _some(score["samples"], "tuple")
    return f"{_some(score['samples'] // seeds, 'prompt')} x {_some(seeds, 'seed')}"


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _cell(score: dict[str, Any] | None, sign: str) -> str:
    if score is None:
        return "–"
    spread = "" if score["spread"] is None else f" ±{score['spread']:.2g}"
    error = "" if score["standard_error"] is None else f" ({score['standard_error']:.1g})"
    return f"{score['value']:{sign}.4g}{spread}{error}"
