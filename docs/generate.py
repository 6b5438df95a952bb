"""Writes docs/cli.md from the command line's own options; ``--check`` only says whether the page is up to date.

It reads the parser, not its printed help, which every version of Python lays out in its own way.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_name("cli.md")
INTRO = "<!-- Written by `make docs` from the commands themselves: do not edit. -->\n\n# The commands"
NARGS = {"?": "[{}]", "*": "[{}...]", "+": "{}...", argparse.REMAINDER: "..."}


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser and all its commands' commands, each under its full name, in their own order."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            first_names = {id(command): word for word, command in reversed(action.choices.items())}
            for word, command in action.choices.items():
                if first_names[id(command)] == word:  # not an alias
                    yield from commands(command, f"{name} {word}")


def value(action: argparse.Action) -> str:
    """What the user writes for an argument: ``FILE``, ``PHOTO...``; empty for a flag."""
    if action.nargs == 0 or isinstance(action, argparse._SubParsersAction):
        return "" if action.nargs == 0 else "COMMAND"
    written = f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest
    metavar = action.metavar or (written.upper() if action.option_strings and not action.choices else written)
    if isinstance(metavar, tuple):
        return " ".join(metavar)
    if isinstance(action.nargs, int):
        return " ".join([metavar] * action.nargs)
    return NARGS.get(action.nargs or "", "{}").format(metavar)


def usage(name: str, actions: list[argparse.Action]) -> str:
    """One line: the command, what it cannot do without, and whether there is more."""
    words = [value(a) for a in actions if not a.option_strings]
    words += [f"{a.option_strings[-1]} {value(a)}" for a in actions if a.option_strings and a.required]
    words += ["[options]"] * any(a.option_strings and not a.required for a in actions)
    return " ".join([name, *words])


def row(action: argparse.Action, prog: str) -> str:
    """An argument as a line of the table."""
    names = " ".join(filter(None, [", ".join(action.option_strings), value(action)]))
    values = {**vars(action), "prog": prog, "choices": ", ".join(map(str, action.choices or ()))}
    text = " ".join(((action.help or "") % values).split())
    if action.required and action.option_strings:
        text += " (required)"
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in (f"`{names}`", text)) + " |"


def section(name: str, parser: argparse.ArgumentParser) -> str:
    """One command: what it is for, its usage, its arguments, its closing words."""
    shown = [a for a in parser._actions if a.help != argparse.SUPPRESS and not isinstance(a, argparse._HelpAction)]
    plain = [a for a in shown if not isinstance(a, argparse._SubParsersAction)]
    parts = [f"## {name}"] if " " in name else []
    parts += [inspect.cleandoc(parser.description or ""), f"```sh\n{usage(name, shown)}\n```"]
    for listed in (a for a in shown if isinstance(a, argparse._SubParsersAction)):
        parts.append("\n".join(f"- `{name} {c.dest}`: {c.help or ''}" for c in listed._choices_actions))
    if plain:
        parts.append("\n".join(["| argument | meaning |", "|---|---|", *(row(a, name) for a in plain)]))
    epilog = inspect.cleandoc(parser.epilog or "")
    return "\n\n".join(filter(None, [*parts, f"```text\n{epilog}\n```" if "\n" in epilog else epilog]))


def render(parser: argparse.ArgumentParser) -> str:
    """The whole page."""
    return "\n\n".join([INTRO, *(section(*command) for command in commands(parser, parser.prog))]) + "\n"


def main(arguments: list[str]) -> int:
    """Writes the page, or with --check compares it; the exit status."""
    from photowords.cli import parser

    text = render(parser())
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"docs/{PAGE.name} is out of date; run: make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
