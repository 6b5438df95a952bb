"""The command line: thin, one file per command, and no heavy import before a command runs."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from photowords import files
from photowords.cli import caption, concept, convert, demo, evaluate, generate, invert, mask, models, study, web
from photowords.cli.options import HAS, told
from photowords.errors import PhotowordsWarning, UserError, is_of_memory

_SAID: set[str] = set()
"""Warnings that this command has printed."""
COMMANDS = (mask, caption, invert, generate, concept, evaluate, study, web, models, convert, demo)


class _Parser(argparse.ArgumentParser):
    """Bad options get one sentence, without the usage lines before it."""

    def error(self, message: str) -> Any:
        raise UserError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="photowords",
        description="Teach a text-to-image model your thing from one photo: the photo becomes a sentence, "
        "and each word of the sentence is tuned until the model draws what the photo shows.",
        epilog="Start with: photowords demo --out demo. Then: photowords invert PHOTO --out RUN, and "
        'photowords generate --concept RUN "a photo of {concept} on the beach" --out DIR.',
    )
    from photowords import __version__

    top.add_argument("--version", action="version", version=f"photowords {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for command in COMMANDS:
        command.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 when stopped, or 2 for bad input (one sentence on stderr)."""
    _open_closed()
    # Before transformers and diffusers are imported: their notes about torchvision are not for our users.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    _SAID.clear()
    HAS.clear()
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", PhotowordsWarning)
    try:
        args = parser().parse_args(_readable(sys.argv[1:] if arguments is None else arguments))
        HAS.update(vars(args))
        result = args.run(args)
        if getattr(args, "json", False):
            print(json.dumps(files.finite(result)))
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {' '.join(told(str(error)).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output went away: `photowords models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a path too long, or in a folder that may not be read
        print(f"error: {error.filename or 'a file'} cannot be used: {error.strerror or error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        print(
            "error: the memory is full; try --dtype bf16, a smaller model or, on a GPU, --offload model",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)  # a command that can go on says how
        return 1
    return 0


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    """Ours as one line on stderr, each once; the libraries' are not for users."""
    if issubclass(category, PhotowordsWarning) and str(message) not in _SAID:
        _SAID.add(str(message))
        print(f"warning: {told(str(message))}", file=sys.stderr)


def _open_closed() -> None:
    """Let the null device stand for each standard stream that was closed before we began, as by ``>&-``; what an open
    one has no letters for is written as its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # by number, as the system gives them out
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8", errors="replace")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)  # our processes have it as well
            setattr(sys, name, stream)
        elif mode == "w" and isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _readable(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments. Raises UserError for one with bytes that are no text, which no tokenizer takes."""
    for text in arguments:
        shown = re.sub("[\ud800-\udfff]", lambda byte: f"\\x{ord(byte[0]) & 0xFF:02x}", text)
        if shown != text:
            raise UserError(f"the argument '{shown}' is not valid UTF-8; write it in UTF-8, or rename the file")
    return arguments
