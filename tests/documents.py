"""The commands that README and docs show, and how they are made quick enough to run in a test."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted({*ROOT.glob("docs/*.md")} - {ROOT / "docs/lab-log.md", ROOT / "docs/cli.md"})]
"""All that people follow: not the log, and not the page of usage lines that the parser itself writes."""

QUICK = {
    "mask": (),
    "caption": (),
    "invert": ("--steps", "2", "--held-out", "4", "--samples", "1"),
    "generate": ("--steps", "2"),
    "evaluate": ("--steps", "2", "--samples", "1"),
    "concept": (),
    "study": (),
    "models": (),
    "convert": (),
    "demo": ("--steps", "2"),
}
"""Command -> what is added to it; a command that is not here is not run, and the test says so."""
INSTEAD = {"FILE.toml": "kettles.toml", "DIR": "kettles", "RUN": "learned"}
"""Placeholder -> what stands for it."""
ELSEWHERE = {
    "make demo": "sets up an environment; test_demo.py runs what it calls",
    "make test": "sets up an environment; it is what runs this test",
    "make setup": "sets up an environment; it is what this test runs in",
    "make web": "sets up an environment and answers for ever; tests/web has the server",
    "photowords web": "answers for ever; tests/web has the server",
    "pip install -e '.[web]'": "installs",
    "pip install -e '.[ray]'": "installs",
}
"""Command -> why no test can run it as it stands."""


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, the comment behind it) in order: of shell blocks, and of what stands in backquotes."""
    language: str | None = None
    for line in text.splitlines():
        if line.startswith("```"):
            language = line[3:].strip() if language is None else None
        elif language is None:
            yield from ((said, "") for said in re.findall(r"`((?:photowords|python|make|pip) [^`]+)`", line))
        elif language in ("", "sh"):
            command, _, comment = line.partition(" #")
            if re.match(r"(\.venv/bin/)?(photowords|python|make|pip|cp) ", command):
                yield command.strip().removeprefix(".venv/bin/"), comment.strip()


def arguments(command: str) -> list[str]:
    """What ``photowords`` is given for a command of a document: placeholders filled in, and quick."""
    words = [INSTEAD.get(word, word) for word in shlex.split(command)[1:]]
    asks_only = {"--help", "--list", "--check"} & {*words}
    return [*words, *(() if asks_only else QUICK[words[0]])]
