"""A report is checked, and replaced whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from photowords.errors import UserError
from photowords.report import build
from tests.report.synthetic import BLOCKS, CONCEPTS, edit, make


def test_check_finds_what_was_changed(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[2:4], concepts=CONCEPTS[:2], steps=(0, 100), scored=(100,))
    assert build.check(folder) == [f"{folder} has no report; write one first"]
    build.write(folder)
    assert build.check(folder) == []
    place = folder / "report"

    file = place / "tables" / "01-table.csv"
    whole = file.read_text()
    file.write_text(whole.replace("held-out-loss,lower,class", "held-out-loss,lower,glass"))
    assert build.check(folder) == ["report/tables/01-table.csv differs from what the trials give, first in line 4"]
    file.write_text(whole)

    text = (place / "report.md").read_text()
    (place / "report.md").write_text(text + "And so it is proven.\n")
    assert build.check(folder) == [
        f"report/report.md differs from what the trials give, first in line {text.count(chr(10)) + 1}"
    ]
    (place / "report.md").write_text(text)

    (place / "figures" / "02-reach.svg").unlink()
    (place / "notes.txt").write_text("mine")
    assert build.check(folder) == [
        "report/figures/02-reach.svg is missing; write the report again",
        "report/notes.txt is no part of the report; remove it or write the report again",
    ]
    build.write(folder)

    page = (place / "report.html").read_text()
    cell = re.findall(r"<td>(0\.\d+) \[", page)[0]
    (place / "report.html").write_text(page.replace(f"<td>{cell} [", "<td>0.001 ["))
    assert build.check(folder) == ["report/report.html differs from what the trials and the figures in report/ give"]
    (place / "report.html").write_text(page)
    assert build.check(folder) == []

    first = sorted((folder / "trials").iterdir())[0]
    kept = first.read_bytes()
    edit(folder, first.stem, lambda t: t["checkpoints"][-1]["held_out"].update(mean=0.5))
    found = build.check(folder)
    assert found[0] == f"trials/{first.stem}.json has changed since the report was written"
    assert any("01-table.csv differs" in sentence for sentence in found)

    first.unlink()
    assert build.check(folder)[0] == f"trials/{first.stem}.json is in the report, but not in the study's folder"
    build.write(folder)
    first.write_bytes(kept)
    assert build.check(folder)[0] == "the report is of 11 trials, but 12 are finished; write it again"


def test_a_stopped_report_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[2:4], concepts=CONCEPTS[:2], steps=(0, 100), scored=(100,))
    build.write(folder)
    before = (folder / "report" / "report.md").read_bytes()
    next((folder / "trials").iterdir()).unlink()

    def full(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build, "to_html", full)
        build.write(folder)
    assert (folder / "report" / "report.md").read_bytes() == before
    build.write(folder)
    assert "11 of 12 trials" in (folder / "report" / "report.md").read_text()


KILLED = """
import os, sys
from pathlib import Path
from photowords import files
from photowords.report import build
swap, rename, folder = files._exchange, os.replace, Path(sys.argv[2])
die = lambda *_: os._exit(9)
if sys.argv[1] == "before":
    files._exchange = die
elif sys.argv[1] == "after":
    files._exchange = lambda one, other: swap(one, other) and die()
else:  # between the two renames of a system that cannot swap
    files._exchange = lambda one, other: False
    os.replace = lambda one, other: die() if other == folder / "report" else rename(one, other)
build.write(folder)
"""


@pytest.mark.parametrize("when", ["before", "after", "between"])
def test_a_kill_while_the_report_is_put_in_its_place_leaves_the_old_or_the_new_one(tmp_path: Path, when: Any) -> None:
    folder = make(tmp_path / "out", blocks=BLOCKS[2:3], concepts=CONCEPTS[:2], steps=(0, 100), scored=(100,))
    build.write(folder)
    old = (folder / "report" / "report.md").read_text()
    next((folder / "trials").iterdir()).unlink()
    assert subprocess.run([sys.executable, "-c", KILLED, when, folder], check=False).returncode == 9
    if when == "between":
        assert not (folder / "report").exists()
        assert build.check(folder)  # puts the old one back, and finds that it is old
    text = (folder / "report" / "report.md").read_text()
    assert text == old if when != "after" else "11 of 12 trials" in text
    assert len(list((folder / "report" / "tables").iterdir())) >= 2
    build.write(folder)
    assert build.check(folder) == []


def test_what_is_no_report_is_not_overwritten(tmp_path: Path) -> None:
    folder = make(tmp_path / "out", blocks=[], concepts=("mug",))
    (folder / "report").mkdir()
    (folder / "report" / "thesis.tex").write_text("...")
    with pytest.raises(UserError, match=r"holds something else than a report"):
        build.write(folder)
