"""photowords invert --each: a run folder for each of many photos."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photowords import follow, jobs, pocket
from photowords.cli.options import add_workers, check_workers, number, say, told
from photowords.cli.reading import model_for
from photowords.errors import UserError
from photowords.settings import InvertSettings, check_name
from photowords.starts import Start, Words

if TYPE_CHECKING:
    from photowords.learning.each import Task


def add_options(command: argparse.ArgumentParser) -> None:
    """--each, and how its work is shared out."""
    group = command.add_argument_group("many photos")
    group.add_argument(
        "--each",
        action="store_true",
        help="learn one concept of each PHOTO: run folders in RUN, named like the photos. The same command goes on "
        "where it was stopped",
    )
    group.add_argument(
        "--together",
        type=number(int),
        metavar="N",
        help="concepts in one batch of the model, fewer where there are processes for all (default: so many that the "
        "batch holds 16 samples)",
    )
    add_workers(group)


def check(args: argparse.Namespace) -> None:
    """Raise UserError for options that do not go together."""
    if not args.each:
        for option in ("together", "workers", "ray"):
            if getattr(args, option) is not None:
                raise UserError(f"--{option} is for many photos; add --each")
        return
    check_workers(args)
    if args.together is not None and args.together < 1:
        raise UserError(f"--together is {args.together}, but it must be at least 1")
    if args.resume:
        raise UserError("--each goes on by itself where it was stopped; leave --resume out")
    for option in ("click", "off", "box", "mask", "segmenter", "background_weight"):
        if getattr(args, option) not in (None, []):
            raise UserError(f"`{option}` is of one photo; leave it out with --each")


def run(args: argparse.Namespace, settings: InvertSettings, start: Start) -> dict[str, Any]:
    """Learn from each photo. Raises UserError, once all the others are done, for photos that failed."""
    import torch

    from photowords import files, images
    from photowords.backbones import choose_device, choose_dtype
    from photowords.initializers.words import check as check_words
    from photowords.learning.each import Share, Task, each

    name = "concept" if args.name is None else args.name
    check_name(name)  # what is wrong is said before a model is fetched
    if isinstance(start, Words):
        check_words(start)
    choose_dtype(torch.device("cpu"), args.dtype)
    if jobs.is_run(args.out):
        raise UserError(f"{args.out} holds a run; give --each a folder for runs as --out")
    if other := jobs.run_with(args.out / "of-a-photo"):  # before the folder is made
        raise UserError(f"{args.out} is where the run {other} has its own; give another folder as --out")
    tasks = [Task(photo, args.out / name) for photo, name in zip(args.photos, _names(args.photos), strict=True)]
    photos, failures = [], dict[Task, str | None]()
    for task in tasks:  # before a model is loaded
        try:
            # No more of it is kept than what chooses the model looks at: there may be hundreds.
            small = images.to_tensor(images.load_photo(task.photo), pocket.SIDE)
            photos.append(images.to_pil(small)[0])
        except UserError as error:
            failures[task] = str(error)
    if not photos:
        raise UserError(next(iter(failures.values())) or "no photo can be read")
    good = [task for task in tasks if task not in failures]
    model = model_for(args, photos, [None] * len(photos), [task.photo.name for task in good])
    device = str(choose_device(args.device))
    samples = jobs.SAMPLES if args.samples is None else args.samples
    how = Share((), start, name, settings, samples, args.samples_at, model, device, args.dtype, args.offload)
    files.make_folder(args.out)
    began = time.perf_counter()
    try:
        with Table(tasks, settings.steps) as table:
            for task, failure in failures.items():
                table.ended(task, failure)
            for task, failure in each(good, how, args.together, args.workers, args.ray):
                failures[task] = failure
                table.ended(task, failure)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; what was reached is kept, and the same command goes on") from None
    return _told(args, tasks, failures, time.perf_counter() - began)


def _names(photos: Sequence[Path]) -> list[str]:
    """A folder's name for each photo. Raises UserError where two would have the same."""
    names: dict[str, Path] = {}
    for photo in photos:
        if (other := names.setdefault(photo.stem, photo)) is not photo:
            raise UserError(f"{other} and {photo} would have the same run folder; rename one of them")
    return list(names)


def _told(
    args: argparse.Namespace, tasks: Sequence[Task], failures: Mapping[Task, str | None], seconds: float
) -> dict[str, Any]:
    from photowords.inversion import Run

    results = {}
    for task in tasks:
        if failures[task] is None:
            result = results[task.folder.name] = Run.open(task.folder).result()
            losses = result["held_out_loss"]
            learned = f"held-out loss {losses['start']:.4f} -> {losses['final']:.4f}"
            say(args, f"{task.folder}  {result['sentence']}  {learned}")
    how = f"; held-out losses: {losses['how']}" if results else ""
    say(args, f"{len(results)} of {len(tasks)} concepts, {seconds:.0f} s{how}")
    if failed := {task: sentence for task, sentence in failures.items() if sentence is not None}:
        task, sentence = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(tasks)} photos are not done, {task.photo.name} because {sentence}; the others are "
            "kept, and the same command tries these again"
        )
    return {"folder": str(args.out), "seconds": round(seconds, 1), "runs": results}


class Table:
    """A live table on stderr: each photo's state, step and held-out loss, by its folder's files; a line for each that
    has ended where stderr is a file."""

    def __init__(self, tasks: Sequence[Task], steps: int) -> None:
        self._tasks, self._steps = tasks, steps
        self._failures: dict[Task, str | None] = {}
        self._live: Any = nullcontext()

    def __enter__(self) -> Table:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(self, console=Console(stderr=True, markup=False, emoji=False), refresh_per_second=1)
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def ended(self, task: Task, failure: str | None) -> None:
        """Note the end of a photo's run."""
        self._failures[task] = failure
        if isinstance(self._live, nullcontext):
            said = told(f"not done: {failure}" if failure else "done")
            print(f"{len(self._failures)}/{len(self._tasks)} {task.folder.name}  {said}", file=sys.stderr, flush=True)

    def __rich__(self) -> Any:
        from rich.table import Table as Drawn

        drawn = Drawn(caption=f"{len(self._failures)} of {len(self._tasks)} have ended", caption_justify="left")
        for head in ("photo", "state", "step", "held-out loss"):
            drawn.add_column(head, justify="left" if head in ("photo", "state") else "right")
        for task in self._tasks:
            drawn.add_row(task.folder.name, *self._row(task))
        return drawn

    def _row(self, task: Task) -> tuple[str, str, str]:
        """State, step and held-out loss of a photo's run, whose folder may not be there yet."""
        failed = bool(self._failures.get(task))
        if not (task.folder / follow.SETTINGS).exists():
            return "failed" if failed else "waiting", "", ""
        now = follow.status(task.folder)
        measured = [row["held_out"] for row in now.losses if "held_out" in row]
        state = "failed" if failed and now.state != "stopped" else now.state
        step = "" if now.step is None else f"{now.step}/{self._steps}"
        return state, step, f"{measured[0]:.4f} -> {measured[-1]:.4f}" if measured else ""
