"""photowords models: what --model understands."""

from __future__ import annotations

import argparse
from typing import Any

from photowords.cli.options import add_json, say


def add(commands: Any) -> None:
    command = commands.add_parser(
        "models",
        help="list the models that have a short name",
        description="List the short names that --model understands. A folder or a hub name works as well; photowords "
        "convert makes a folder of a checkpoint in one file.",
    )
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import backbones

    device = backbones.choose_device()
    dtype = str(backbones.choose_dtype(device)).removeprefix("torch.")
    for alias, model in backbones.ALIASES.items():
        say(args, f"{alias:14} {model.about}")
        say(args, f"{'':14} {model.source}")
    say(args, f"here: {device}, {dtype}")
    models = {alias: model._asdict() for alias, model in backbones.ALIASES.items()}
    return {"models": models, "device": str(device), "dtype": dtype}
