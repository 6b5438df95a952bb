"""photowords study: a grid of concepts, starts and seeds, and the figures made of it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from photowords.cli.options import a_path, add_json, add_model, add_workers, check_workers, say, told
from photowords.errors import UserError

ASKED = ("out", "workers", "ray", "dry_run", "model", "device", "dtype")
"""What only a run of a study looks at."""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "study",
        help="run a grid of concepts, starts and seeds, and draw the figures",
        description="Run every trial of a study's TOML file and make its report: tables, figures and one HTML page. "
        "Finished trials are kept as they come, so the same command goes on where it was stopped.",
    )
    command.add_argument("file", nargs="?", type=a_path, metavar="FILE", help="the study, such as studies/quick.toml")
    command.add_argument("--out", type=a_path, metavar="DIR", help="folder of the study, to make or to go on with")
    add_workers(command)
    command.add_argument("--dry-run", action="store_true", help="list the trials and how long they take; run none")
    command.add_argument(
        "--check", type=a_path, metavar="DIR", help="compute a study's tables again from its trials and compare them"
    )
    add_model(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.check is not None:
        asked = {"FILE": args.file, **{f"`{name}`": getattr(args, name) for name in ASKED}}
        if given := [name for name, value in asked.items() if value not in (None, False, "auto")]:
            raise UserError(f"--check asks only for a study's folder; leave {given[0]} out")
        return _check(args)
    if args.file is None:
        raise UserError("no study was given; write photowords study FILE.toml --out DIR")
    if args.out is None and not args.dry_run:
        raise UserError("the study needs a folder; add --out DIR")
    check_workers(args)
    from photowords import study

    prepared = study.prepare(args.file, args.model, args.device, args.dtype)
    if args.dry_run:
        done = [] if args.out is None else study.found_done(args.out, prepared.record, prepared.trials)
        return _list(args, prepared, done)
    with Board() as board:
        result = study.run(prepared, args.out, board, args.workers, args.ray)
    say(args, f"trials  {result['done']} of {result['trials']} done, in {args.out / 'trials'}")
    say(args, f"report  {args.out / 'report' / 'report.html'}")
    return result


def _check(args: argparse.Namespace) -> dict[str, Any]:
    from photowords.report.build import check

    problems = check(args.check)
    if problems:
        raise UserError(f"the tables of {args.check} are not what its trials give: {'; '.join(problems)}")
    say(args, f"the tables of {args.check} are exactly what its trials give")
    return {"folder": str(args.check), "problems": problems}


def _list(args: argparse.Namespace, prepared: Any, done: Sequence[Any]) -> dict[str, Any]:
    from photowords import workers
    from photowords.study.cost import Meter

    count = args.workers or (1 if args.ray else workers.default(prepared.device))
    todo = [trial for trial in prepared.trials if trial not in done]
    seconds = Meter(todo, prepared.study.samples, prepared.seconds_per_pass, count).seconds_left
    for trial in prepared.trials:
        say(args, f"{trial.id}  {'done' if trial in done else f'{trial.arm.settings.steps} steps'}")
    say(args, _to_do(len(prepared.trials), len(done), seconds, f"on {_many(count, 'worker')}"))
    return {"trials": [trial.id for trial in prepared.trials], "done": len(done), "seconds": round(seconds)}


def _to_do(trials: int, done: int, seconds: float, where: str) -> str:
    if not (left := trials - done):
        return f"{_many(trials, 'trial')}, all done"
    todo = f"{trials} trials, {done} of them done already; the other {left}" if done else _many(trials, "trial")
    return f"{todo} take{'' if left > 1 else 's'} about {_span(seconds)} {where}"


class Board:
    """A live table on stderr: each arm's trials, those at work and the time left; a line a trial where it is a file."""

    def __init__(self) -> None:
        self._live: Any = None
        self._done: Counter[str] = Counter()
        self._total: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._running: dict[str, float] = {}
        self._end = 0.0

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, trials: Sequence[Any], done: Sequence[Any], seconds: float, workers: int | None) -> None:
        """Say how much there is to do, and draw the table on a terminal."""
        self._total.update(trial.arm.label for trial in trials)
        self._done.update(trial.arm.label for trial in done)
        self._expect(seconds)
        where = "on the Ray cluster, were it one worker" if workers is None else f"on {_many(workers, 'worker')}"
        print(_to_do(len(trials), len(done), seconds, where), file=sys.stderr)
        if len(done) < len(trials) and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(self, console=Console(stderr=True, markup=False, emoji=False), refresh_per_second=1)
            self._live.start()

    def started(self, trial: Any) -> None:
        self._running[trial.id] = time.monotonic()

    def ended(self, trial: Any, outcome: Any, seconds_left: float) -> None:
        self._running.pop(trial.id, None)
        self._expect(seconds_left)
        (self._done if outcome.failure is None else self._failed)[trial.arm.label] += 1
        if self._live is None:
            count = f"{self._done.total() + self._failed.total()}/{self._total.total()}"
            said = f"{outcome.seconds:.0f} s" if outcome.failure is None else told(f"failed: {outcome.failure}")
            print(f"{count} {trial.id}  {said}, about {_span(seconds_left)} left", file=sys.stderr, flush=True)

    def _expect(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __rich__(self) -> Any:
        from rich.table import Table

        now = time.monotonic()
        table = Table(caption=f"about {_span(max(0.0, self._end - now))} left", caption_justify="left")
        for head in ("start", "done", "failed", "trials"):
            table.add_column(head, justify="left" if head == "start" else "right")
        for label, total in self._total.items():
            table.add_row(label, str(self._done[label]), str(self._failed[label] or ""), str(total))
        table.add_section()
        for name, began in self._running.items():
            table.add_row(name, "", "", _span(now - began))
        return table


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _span(seconds: float) -> str:
    """A time as people say it."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
