"""photowords demo: the whole method on the bundled model, in one picture."""

from __future__ import annotations

import argparse
from typing import Any

from photowords.cli.options import a_path, add_fields, add_json, check_target, given, say
from photowords.fields import fields
from photowords.settings import InvertSettings

LEARNING = ("steps", "seed")


def add(commands: Any) -> None:
    command = commands.add_parser(
        "demo",
        help="see the method work, in under a minute, with no download",
        description="Take a photo of the bundled bank, caption it, invert it, show it in four scenes, swap a word, "
        "and leave one picture of it all: demo.png.",
    )
    command.add_argument("--out", type=a_path, required=True, metavar="DIR", help="folder to make")
    command.add_argument("--concept", default="mug", help="a concept of the bank (default: mug)")
    add_fields(command, [fields(InvertSettings)[name] for name in LEARNING])
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords.cli.bar import Bar
    from photowords.demo import demo

    settings = InvertSettings(**given(args, LEARNING))
    check_target(args.out)
    check_target(args.out / "demo.png", is_earlier=lambda there: (there.parent / "run").is_dir())
    try:
        with Bar(args) as bar:
            bar.begin(settings.steps)
            result = demo(args.out, args.concept, settings.steps, settings.seed, bar.watch)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on") from None
    say(args, f"picture        {result['picture']}  ({result['seconds']['total']:.0f} s)")
    return result
