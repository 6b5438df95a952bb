"""The bar of one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from photowords.cli.options import say

if TYPE_CHECKING:
    from photowords.inversion import Run, Step


class Bar:
    """The sentence before training; then a live bar on stderr: steps, losses, time left; silent where that is no
    terminal."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._task: Any = None
        self._progress: Any = None
        self._held_out = ""

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            redirect_stdout=sys.stdout.isatty(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, steps: int) -> None:
        """Show an empty bar of so many steps; not before, since a model may be fetched first, with bars of its own."""
        self._progress.start()
        self._task = self._progress.add_task("learning", total=steps, losses="")

    def watch(self, run: Run, taken: Iterable[Step]) -> None:
        """Take a run's steps, and show each."""
        words = run.about["words"]
        for step in taken:
            if step.index == 0:
                frozen = [text for text, trainable in words if not trainable]
                shown = run.about["sentence"] or f"none: {len(words)} random vectors"
                say(self._args, f"sentence       {shown}" + (f"  (frozen: {', '.join(frozen)})" if frozen else ""))
            if step.held_out is not None:
                self._held_out = f"held out {step.held_out.mean():.4f}"
            loss = "" if step.loss is None else f"loss {step.loss:.3f}  "
            self._progress.update(self._task, completed=step.index, losses=loss + self._held_out)
