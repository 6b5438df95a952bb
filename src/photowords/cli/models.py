"""photowords models: what --model understands."""

from __future__ import annotations

import argparse
from typing import Any

from photowords.cli.options import add_json, say


def add(commands: Any) -> None:
    command = commands.add_parser(
        "models",
        help="list the models that have a short name",
        description="List the short names that --model understands. A folder or a hub name works as well.",
    )
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from photowords import backbones

    device = backbones.choose_device()
    dtype = str(backbones.choose_dtype(device)).removeprefix("torch.")
    for alias, (source, about) in backbones.ALIASES.items():
        say(args, f"{alias:8} {about}")
        say(args, f"{'':8} {source}")
    say(args, f"here: {device}, {dtype}")
    models = {alias: {"source": source, "about": about} for alias, (source, about) in backbones.ALIASES.items()}
    return {"models": models, "device": str(device), "dtype": dtype}
