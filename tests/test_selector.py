"""Clicks on photos are answered in one place, which prepares each photo once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from photowords.errors import UserError
from photowords.segmentation import Clicks, Segmenter, Selection, Selector


class Counting(Segmenter):
    """Answers with a mask that is white everywhere."""

    source, revision = "/somewhere/counting", "abc"

    def __init__(self) -> None:
        self.opened = 0

    def open(self, photo: Image.Image) -> Any:
        self.opened += 1
        return lambda clicks: Image.new("L", photo.size, 255)


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Counting:
    found = Counting()
    found.source = str(tmp_path)
    monkeypatch.setattr("photowords.segmentation.selector.load", lambda source, device: found)
    return found


def test_a_photo_with_a_key_is_prepared_once(segmenter: Counting) -> None:
    selector, photo = Selector(), Image.new("RGB", (20, 10))
    for _ in range(3):
        found = selector.select(photo, Clicks(on=((3, 3),)), "one")
    assert segmenter.opened == 1 and found.mask.size == (20, 10)
    for key in ("two", "three", "four", "five"):
        selector.prepare(photo, key)
    selector.select(photo, Clicks(on=((3, 3),)), "one")
    assert segmenter.opened == 6, "the oldest of five is prepared again"
    for _ in range(2):
        selector.select(photo, Clicks(on=((3, 3),)))
    assert segmenter.opened == 8, "photos without a key may be any"


def test_wrong_clicks_load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photowords.segmentation.selector.load", None)
    with pytest.raises(UserError, match="outside the picture"):
        Selector().select(Image.new("RGB", (20, 10)), Clicks(on=((30, 3),)))


def test_a_selection_is_read_back_as_it_was_told(segmenter: Counting) -> None:
    made = Selector().select(Image.new("RGB", (20, 10)), Clicks(((3.0, 4.0),), ((9.0, 9.0),), (1.0, 1.0, 12.0, 9.0)))
    again = Selection.from_json(json.loads(json.dumps(made.as_json())), made.mask)
    assert again == made and again.provenance() == made.provenance()
    plain = Selection(made.mask, "mine.png")
    assert Selection.from_json(plain.as_json(), made.mask) == plain


def test_a_box_that_holds_nothing_is_not_called_a_click() -> None:
    photo = Image.new("RGB", (64, 64), "white")
    with pytest.raises(UserError, match="no object is found in the `box`; draw it a little larger"):
        Selector().select(photo, Clicks(box=(10, 10, 11, 11)))
