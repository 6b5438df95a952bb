"""Options that say where the words come from; caption and invert share them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from photowords.cli.options import add_fields, given
from photowords.fields import Field, fields
from photowords.starts import Start, make


def options_of(starts: Iterable[type[Start]]) -> dict[str, Field]:
    """The options of all these starts by name, each once."""
    return {name: field for start in starts for name, field in fields(start).items()}


def add_starts(command: argparse.ArgumentParser, starts: Iterable[type[Start]], without: Iterable[str] = ()) -> None:
    """What these starts can be told, ``without`` options that the command has already."""
    group = command.add_argument_group("where the words come from")
    add_fields(group, [field for name, field in options_of(starts).items() if name not in without])


def chosen(args: argparse.Namespace, init: str, names: Iterable[str]) -> Start:
    """The start of a name with what the user gave of these options. Raises UserError as ``starts.make`` does."""
    told = given(args, names)
    return make(init, told, told.pop("seed", 0))
