"""Messages speak the language of whoever reads them: names of settings, which each front end spells its own way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from photowords import cli
from photowords.cli import options
from photowords.errors import spelled

PACKAGE = Path(cli.__file__).parents[1]
LIBRARY = [path for path in sorted(PACKAGE.rglob("*.py")) if "cli" not in path.relative_to(PACKAGE).parts]
OTHER_PROGRAMS = ("hf download", "--local-dir", "--revision", "ray start")
COMMANDS = {
    PACKAGE / "formats" / "use.py": "how other programs are told to use a file",
    PACKAGE / "web" / "queue.py": "the process that a run is",
    PACKAGE / "web" / "pictures.py": "what draws the same on the command line",
}


def texts(file: Path) -> Iterator[str]:
    """The string constants of a file that are no docstrings, pieces of f-strings included."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("file", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_speaks_of_settings_not_of_flags(file: Path) -> None:
    for text in texts(file):
        if file not in COMMANDS and not any(program in text for program in OTHER_PROGRAMS):
            assert not re.search(r"(^|\s)--[a-z]", text), text
        for name in re.findall(r"`(\w+)`", text):
            assert name in options._options(), f"{name} is no option of the command line: {text}"


def test_a_front_end_spells_names_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "HAS", set())  # no command is at work
    message = "`lr` is 0, but `held_out` of `mine` is not"
    assert spelled(message, str.upper) == "LR is 0, but HELD_OUT of MINE is not"
    assert options.told(message) == "--lr is 0, but --held-out of mine is not"
    assert options.told("`off` and a `b c`") == "--not and a `b c`"


def test_a_command_never_names_an_option_that_it_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "HAS", {"concept", "out", "steps"})
    message = "the `name` is bad; `resume` it as `out`, or give `words` and `steps`"
    said = "the name is bad; resume it as --out, or give --words of photowords invert and --steps"
    assert options.told(message) == said


def test_a_long_quotation_is_cut_and_nothing_else_is() -> None:
    long = "a very red mug " * 40
    assert options.told(f"the sentence {long!r} is too long") == f"the sentence '{long[:200]}…' is too long"
    marked = "it's a 'red' mug " * 40
    assert options.told(f"that is {marked!r}; no") == f'that is "{marked[:200]}…"; no'
    for whole in (f"the run's {long} is no quotation, 'this' is", f"'{'x' * 200}' fits", "'" + "\\" * 5000, "'" * 5000):
        assert options.told(whole) == whole
