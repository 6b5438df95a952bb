"""A report's page and figures."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords.report import build, results, statistics
from photowords.report.blocks import parse
from photowords.report.document import Drawing
from photowords.report.pictures import first_of
from tests.report.synthetic import ARMS, BLOCKS, CONCEPTS


class Page(HTMLParser):
    """What a page asks for, whether its tags are closed, and its text."""

    void = {"meta", "img", "br", "link"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.append(tag)
        self.asked += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: Any) -> None:
        self.text += data


def test_the_page_stands_alone(study: Path) -> None:
    text = (study / "report" / "report.html").read_text()
    page = Page(text)
    assert not page.open and "script" not in page.tags and "link" not in page.tags
    assert all(asked.startswith(("data:image/", "#")) for asked in page.asked)
    assert "url(" not in text and "@import" not in text
    assert page.tags.count("img") == 9 + len(CONCEPTS)
    for said in (
        "24 of 24 trials",
        "Which start is <better>?",
        "a red mug | with $5 <b>",
        "abcdef123456",
        "10,000 resamples",
    ):
        assert said in page.text
    assert page.text.count("What this does not show") == len(BLOCKS) + 1


def test_figures_keep_their_text_and_are_readable_at_half_width(study: Path) -> None:
    for file in (study / "report" / "figures").glob("*.svg"):
        svg = file.read_text()
        assert "<text" in svg and "<dc:date>" not in svg
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )?([\d.]+)px", svg)]
        assert sizes and min(sizes) >= 7, file.name
        if "gallery" not in file.name:
            width = re.search(r'width="([\d.]+)pt"', svg)
            assert width and float(width[1]) == pytest.approx(3.3 * 72)


def test_a_strip_is_cut_between_its_pictures() -> None:
    from photowords.images import side_by_side

    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue", "yellow")]
    for gap in (0, 4):
        strip = side_by_side(pictures, gap)
        assert first_of(strip, 4).tobytes() == strip.tobytes() == first_of(strip, 9).tobytes()
        assert first_of(strip, 2).tobytes() == side_by_side(pictures[:2], gap).tobytes()


def test_panels_of_one_metric_have_the_same_limits(study: Path) -> None:
    read = results.read(study)
    few = {"kind": "curves", "metrics": ["held-out-loss", "training-loss"], "arms": ["star"]}
    read = dataclasses.replace(read, plan={**read.plan, "report": [BLOCKS[0], few]})
    limits: dict[str, list[Any]] = {}
    for block in read.plan["report"]:
        for part in parse(block, list(ARMS)).make(read, "a").parts:
            if isinstance(part, Drawing):
                limits.setdefault(part.name, []).append(part.draw().axes[0].get_ylim())
    one, other = limits["a-held-out-loss"]
    assert one == pytest.approx(other)
    caption, star = (statistics.estimate(read.values(arm, "held-out-loss", 100)) for arm in ("caption", "star"))
    assert one[0] < caption.low < star.low and len(limits["a-pocket-lpips"]) == 1


def test_the_same_trials_give_the_same_bytes(study: Path, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in (study / "report").rglob("*") if file.is_file()}
    assert build.write(study)["trials"] == 24
    after = {file: file.read_bytes() for file in (study / "report").rglob("*") if file.is_file()}
    assert before.keys() == after.keys()
    assert [file.name for file in before if before[file] != after[file]] == []
    assert not [path for path in study.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("value", "said"),
    [(2134.2, "2,130×"), (41.83, "41.8×"), (0.5, "0.5×"), (0, "not reached"), (math.inf, "at the start")],
)
def test_ratios_are_read_without_powers_of_ten(value: Any, said: str) -> None:
    from photowords.report.wording import ratio

    assert ratio(value) == said
