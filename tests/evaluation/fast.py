"""A protocol that takes a second."""

from __future__ import annotations

import argparse
from typing import Any

from photowords.cli import evaluate as command
from photowords.evaluation import Protocol
from photowords.settings import GenerateSettings

FAST = Protocol(
    samples=2,
    settings=GenerateSettings(steps=4),
    prompts=("a photo of a {}",),
    edits=("a photo of a {} in the snow",),
)
POCKETS = ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction", "pocket-clip-editability")


def call(*words: Any) -> Any:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    args = parser.parse_args(["evaluate", *map(str, words)])
    return args.run(args)
