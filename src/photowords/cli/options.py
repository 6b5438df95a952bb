"""Options that several commands share, and how commands speak."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def number(kind: type) -> Any:
    """An argparse type: a number, with the range left to the settings' own checks."""

    def convert(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None

    return convert


def add_model(command: argparse.ArgumentParser) -> None:
    """--model, --device, --dtype."""
    command.add_argument(
        "--model",
        metavar="MODEL",
        help="short name (see: photowords models), folder or hub name of a Stable Diffusion model (default: pocket)",
    )
    add_device(command)
    command.add_argument("--dtype", default="auto", help="bf16, fp16 or fp32 (default: bf16 where it is fast)")


def add_device(command: argparse.ArgumentParser) -> None:
    """--device."""
    command.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best one here)")


def add_json(command: argparse.ArgumentParser) -> None:
    """--json."""
    command.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")


def say(args: argparse.Namespace, text: str) -> None:
    """A line for people: on stdout, or on stderr when stdout is for a machine."""
    print(text, file=sys.stderr if args.json else sys.stdout)
