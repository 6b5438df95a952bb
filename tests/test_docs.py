"""docs/generate.py on a small parser; `make check` runs it on the real one."""

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "generate.py"


@pytest.fixture
def generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module that writes into a temporary folder and documents the small parser."""
    spec = importlib.util.spec_from_file_location("generate", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGE", tmp_path / "cli.md")
    monkeypatch.setitem(sys.modules, "photowords.cli", SimpleNamespace(parser=small_parser))
    return module


def small_parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="photowords", description="One photo in.")
    top.add_argument("--version", action="version", version="0")
    commands = top.add_subparsers(required=True)
    invert = commands.add_parser("invert", aliases=["learn"], help="learn a photo", description="Learns | a photo.")
    invert.add_argument("photos", nargs="+", metavar="PHOTO", help="the photos")
    invert.add_argument("--out", required=True, help="where the run goes")
    invert.add_argument("-s", "--steps", type=int, default=100, help="50%% of 200|all (default: %(default)s)")
    invert.add_argument("--kind", choices=["object", "style"], default="object", help="what it is")
    invert.add_argument("--size", nargs=2, help="two numbers")
    invert.add_argument("--json", action="store_true", help="for machines")
    invert.add_argument("--secret", help=argparse.SUPPRESS)
    show = (
        commands.add_parser("concept", help="concepts")
        .add_subparsers()
        .add_parser("show", epilog="  an example\n  another")
    )
    show.add_argument("file", nargs="?", default="-", help="a file")
    return top


def test_every_command_has_a_section_once_and_aliases_none(generate: Any) -> None:
    page = generate.render(small_parser())
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## photowords invert", "## photowords concept", "## photowords concept show"]


@pytest.mark.parametrize(
    "line",
    [
        "photowords COMMAND [options]",
        "- `photowords invert`: learn a photo",
        "photowords invert PHOTO... --out OUT [options]",
        "| `PHOTO...` | the photos |",
        "| `--out OUT` | where the run goes (required) |",
        r"| `-s, --steps STEPS` | 50% of 200\|all (default: 100) |",
        "| `--kind {object,style}` | what it is |",
        "| `--size SIZE SIZE` | two numbers |",
        "| `--json` | for machines |",
        "photowords concept show [file]",
        "| `[file]` | a file |",
        "another",
    ],
)
def test_the_page_says(generate: Any, line: str) -> None:
    assert line in generate.render(small_parser()).splitlines()


def test_what_is_hidden_or_said_of_every_command_is_left_out(generate: Any) -> None:
    page = generate.render(small_parser())
    assert "secret" not in page
    assert "--help" not in page


def test_the_width_of_the_terminal_does_not_matter(generate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = generate.render(small_parser())
    monkeypatch.setenv("COLUMNS", "30")
    assert generate.render(small_parser()) == wide


def test_check_says_in_one_sentence_when_the_page_is_missing_or_stale(
    generate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().err == "docs/cli.md is out of date; run: make docs\n"
    generate.PAGE.write_text("old", encoding="utf-8")
    assert generate.main(["--check"]) == 1
