"""Options that several commands share, those that settings classes declare, and how commands speak."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from photowords import jobs
from photowords.errors import UserError, showable, spelled
from photowords.fields import CALLED, Field

HAS: set[str] = set()
"""The settings that the command at work has options for; empty until it is known which command that is."""
ELSEWHERE = {"words": "--words of photowords invert"}
"""A setting as commands without it spell it, where its bare name would say too little."""
QUOTED = re.compile(r"""(?<!\w)(['"])((?:\\.|(?!\1(?!\w))[^\\]){200})(?:\\.|(?!\1(?!\w))[^\\])+(?=\1)""", re.DOTALL)
"""A quotation of more than 200 characters: its mark, and what is kept of it."""


def number(kind: type) -> Any:
    """An argparse type: a number, with the range left to the settings' own checks."""

    def convert(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {CALLED[kind]}") from None

    return convert


def a_path(text: str) -> Path:
    """An argparse type: a path. An empty one, as an unset variable of a shell gives, would be the folder one is in."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def a_name(text: str) -> str:
    """An argparse type: a name. A blank one, as an unset variable of a shell gives, would mean the default."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return text


def add_fields(group: Any, fields: Iterable[Field]) -> None:
    """An option for each field of a settings class, None where it is not given: the class has the defaults."""
    for field in fields:
        option, said = "--" + field.name.replace("_", "-"), field.explained.replace("%", "%%")
        if field.kind is bool:
            group.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=said)
        else:
            group.add_argument(option, type=_reader(field), metavar=field.metavar, help=said)


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Of these fields, what the user gave."""
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}


def add_model(command: argparse.ArgumentParser) -> None:
    """--model, --device, --dtype."""
    command.add_argument(
        "--model",
        type=a_name,
        metavar="MODEL",
        help="short name (see: photowords models), folder or hub name of a diffusers model (default: auto, the "
        "pocket for pictures of its world, for photos a real model in the local cache, for a concept its own)",
    )
    add_device(command)
    command.add_argument("--dtype", default="auto", help="bf16, fp16 or fp32 (default: bf16 where it is fast)")


def add_offload(command: argparse.ArgumentParser) -> None:
    """--offload, beside --model."""
    command.add_argument(
        "--offload",
        default="auto",
        choices=("auto", "none", "model", "sequential"),
        help="what of a large model leaves the GPU while it does not work (default: auto, by the GPU's memory)",
    )


def add_device(command: argparse.ArgumentParser) -> None:
    """--device."""
    command.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best one here)")


def add_workers(command: Any) -> None:
    """--workers and --ray."""
    command.add_argument(
        "--workers", type=number(int), metavar="N", help="processes (default: one for each CPU or GPU)"
    )
    command.add_argument(
        "--ray",
        type=a_name,
        metavar="ADDRESS",
        help="run on a Ray cluster instead: auto, local, HOST:PORT or ray://HOST:PORT",
    )


def check_workers(args: argparse.Namespace) -> None:
    """Raise UserError for a number of processes that cannot be."""
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers is {args.workers}, but it must be at least 1")
    if args.workers is not None and args.ray is not None:
        raise UserError("--workers is for processes of this machine; a Ray cluster says itself how many it has")


def check_target(
    target: Path, inputs: Iterable[Path] = (), ending: str = "", is_earlier: Callable[[Path], bool] = lambda _: False
) -> None:
    """Raise UserError where to write ``target``, what --out names, would cost the user a file.

    That is an input of the command; a file of a run itself; or what is there already and, as ``is_earlier`` finds, is
    no earlier result of the command. A file's name must have the ``ending``; a folder is one for new files.
    """
    if ending and target.is_dir():
        raise UserError(f"--out {target} is a folder; name a file, such as {target / f'new{ending}'}")
    if ending and target.suffix.lower() != ending:
        raise UserError(
            f"what is written is a {ending[1:].upper()} file; let --out end in {ending}, not {target.name!r}"
        )
    for source in inputs:
        if target.is_file() and source.exists() and target.samefile(source):
            raise UserError(f"{target} would overwrite {source}; give another name to --out")
    if folder := jobs.run_with(target):
        raise UserError(f"{target} would be written over or among what the run {folder} is made of; give another --out")
    if target.is_file() and target.stat().st_size and not is_earlier(target):
        raise UserError(
            f"{target} is there already and no earlier result of this command; move it away, or give another --out"
        )


def add_json(command: argparse.ArgumentParser) -> None:
    """--json."""
    command.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")


def say(args: argparse.Namespace, text: str) -> None:
    """A line for people: on stdout, or on stderr when stdout is for a machine."""
    print(showable(text), file=sys.stderr if args.json else sys.stdout)


def told(text: str) -> str:
    """A message of the library as users of this command are told it: with the options that they type for settings,
    --lr for `lr`, with long quotations cut, and nothing that a terminal obeys."""
    return showable(QUOTED.sub(r"\1\2…", spelled(text, _spelling)))


def _spelling(setting: str) -> str:
    if HAS and setting not in HAS:
        return ELSEWHERE.get(setting, setting)
    return _options().get(setting, setting)


@functools.cache
def _options() -> dict[str, str]:
    """Setting -> option, of all commands."""
    from photowords.cli import parser

    commands: list[argparse.ArgumentParser] = [parser()]
    options: dict[str, str] = {}
    for command in commands:
        for action in command._actions:
            if isinstance(action, argparse._SubParsersAction):
                commands.extend(action.choices.values())
            elif action.option_strings:
                options[action.dest] = next(name for name in action.option_strings if name.startswith("--"))
    return options


def _reader(field: Field) -> Any:
    """The argparse type of a field. Lists stand with commas between; some may be a text file, one a line."""
    if field.many:
        one = str.strip if field.kind is str else number(field.kind)

        def convert(text: str) -> Any:
            if not (found := tuple(one(part) for part in _listed(text, field.file) if part.strip())):
                raise argparse.ArgumentTypeError(f"{text!r} names nothing; write a list with commas between")
            return found

        return convert
    if field.kind in (int, float):
        plain = number(field.kind)
        return lambda text: text if field.prefix and text.startswith(field.prefix) else plain(text)
    if field.kind is str:
        return a_name if field.optional and field.metavar == "NAME" else str
    return _picture


def _listed(text: str, file: bool) -> list[str]:
    if not (file and os.path.isfile(text)):  # not Path.is_file, which raises: a list may be longer than a name can be
        return text.split(",")
    try:
        return Path(text).read_text(encoding="utf-8-sig").replace("\n", ",").split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the file {text} cannot be read as UTF-8 text; give one word a line") from error


def _picture(path: str) -> Any:
    from photowords import images

    return images.load_photo(Path(path))
