"""photowords demo: the whole method on the bundled model, in one picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from photowords.cli.options import add_json, number, say


def add(commands: Any) -> None:
    command = commands.add_parser(
        "demo",
        help="see the method work, in under a minute, with no download",
        description="Take a photo of the bundled bank, caption it, invert it, show it in four scenes, swap a word, "
        "and leave one picture of it all: demo.png.",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    command.add_argument("--concept", default="mug", help="a concept of the bank (default: mug)")
    command.add_argument("--steps", type=number(int), default=100, metavar="N", help="optimiser steps (default: 100)")
    command.add_argument("--seed", type=number(int), default=0, metavar="N", help="of the training noise (default: 0)")
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords.cli.invert import Bar
    from photowords.demo import demo

    try:
        with Bar(args) as bar:
            bar.begin(args.steps)
            result = demo(args.out, args.concept, args.steps, args.seed, bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on") from None
    say(args, f"picture        {result['picture']}  ({result['seconds']['total']:.0f} s)")
    return result
