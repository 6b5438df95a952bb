"""A study's concepts: their photos, where the object is in each, and what is known of them; from the file's tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.Image import Image

from photowords import pocket, segmentation
from photowords.errors import UserError
from photowords.segmentation import Clicks
from photowords.settings import NAME
from photowords.study import tables
from photowords.study.tables import Table

PHOTO = ("photo", "mask", "click", "not", "box")
"""Of a photo, and of a concept that has one photo."""
CONCEPT = ("name", *PHOTO, "photos", "class", "words", "truth")


@dataclass(frozen=True)
class Photo:
    """A picture to learn from, and where in it the object is: a mask's file, clicks, or (neither) everywhere."""

    path: Path
    mask: Path | None = None
    clicks: Clicks | None = None

    def selected(self, photo: Image, segment: Callable[[Image, Clicks], Image]) -> Image | None:
        """The object's mask in the loaded photo, mode "L". Raises UserError where there is none."""
        if self.mask is not None:
            return segmentation.load_mask(self.mask, photo.size)
        return None if self.clicks is None else segment(photo, self.clicks)


@dataclass(frozen=True)
class ConceptSource:
    """One thing that is learned, in every arm and for every seed.

    Attributes:
        name: unique; a concept's name.
        photos: the pictures to learn from, at least one; the first is what readers see.
        label: its class, for starts that would ask the classifier; None asks it.
        words: what the words start says of it where the arm does not.
        truth: other true pictures of it, which training never sees; may be empty.
    """

    name: str
    photos: tuple[Photo, ...]
    label: str | None = None
    words: str | None = None
    truth: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of all its pictures."""
        return *(photo.path for photo in self.photos), *self.truth


def read(value: Any, folder: Path) -> list[ConceptSource]:
    """The concepts of a file that lies in ``folder``: "bank", or a list. Raises UserError for what is wrong in it."""
    if value == "bank":
        value = pocket.concepts()
    if not isinstance(value, list) or not value:
        raise UserError('concepts must be "bank", or a list of concepts of the bank and photos')
    return [_concept(item, folder) for item in value]


def _concept(item: Any, folder: Path) -> ConceptSource:
    table: Table = {"photo": item} if isinstance(item, str) else item
    if not isinstance(table, dict):
        raise UserError(f"the concept {item!r} must be a name, a photo's path or a table")
    tables.only(table, CONCEPT, "a concept")
    if "photos" in table and (both := [key for key in PHOTO if key in table]):
        raise UserError(f"a concept has photos and {both[0]}; say {both[0]} of each photo, in a table of its own")
    given = table["photos"] if "photos" in table else [{key: table[key] for key in PHOTO if key in table}]
    if not isinstance(given, list) or not given:
        raise UserError(f"photos of a concept is {given!r}, but it must be a list of photos")
    if not isinstance(given[0], str | dict):
        raise UserError(f"the photo {given[0]!r} of a concept must be a path or a table")
    first = given[0] if isinstance(given[0], str) else tables.get(given[0], "photo", str, None, "a concept")
    name = tables.get(table, "name", str, Path(first).stem.partition(":")[0], "a concept")
    if not NAME.fullmatch(name):
        raise UserError(
            f'concept {name!r} cannot be used as a name; write {{name = "...", photo = {first!r}}}, with a name of '
            "letters, digits, '-' and '_' that begins with a letter"
        )
    where = f"concept {name}"
    photos = tuple(_photo(one, folder, where) for one in given)
    tables.unlike(where, [str(photo.path) for photo in photos])
    texts = [tables.get(table, key, str, "", where) or None for key in ("class", "words")]
    return ConceptSource(name, photos, texts[0], texts[1], _truth(table, photos, folder, where))


def _photo(item: Any, folder: Path, where: str) -> Photo:
    """A path, a concept of the bank ("mug", or "mug:2" for another of its views), or a table with either."""
    table: Table = {"photo": item} if isinstance(item, str) else item
    if not isinstance(table, dict):
        raise UserError(f"{where}: the photo {item!r} must be a path or a table")
    tables.only(table, PHOTO, f"a photo of {where}")
    named = tables.get(table, "photo", str, None, where)
    bank, _, number = named.partition(":")
    bundled = bank in pocket.concepts() and (not number or number.isdecimal())
    path = pocket.view(bank, int(number or 0)) if bundled else folder / named
    _there(path, where)
    if "mask" in table and (both := [key for key in ("click", "not", "box") if key in table]):
        raise UserError(f"{where} has a mask and {both[0]}; the mask is the object already")
    mask = tables.get(table, "mask", str, "", where)
    if mask:
        _there(folder / mask, where)
    return Photo(path, folder / mask if mask else None, _clicks(table, where))


def _clicks(table: Table, where: str) -> Clicks | None:
    if not any(key in table for key in ("click", "not", "box")):
        return None
    on, off = (
        tuple((point[0], point[1]) for point in _points(table, key, where)) if key in table else ()
        for key in ("click", "not")
    )
    box = tables.as_numbers(table["box"], "box", 4, where) if "box" in table else None
    return Clicks(on, off, (box[0], box[1], box[2], box[3]) if box else None)


def _points(table: Table, key: str, where: str) -> list[tuple[float, ...]]:
    """One point, or a list of points."""
    value = tables.get(table, key, list, None, where)
    several = value if value and isinstance(value[0], list) else [value]
    return [tables.as_numbers(point, key, 2, where) for point in several]


def _truth(table: Table, photos: tuple[Photo, ...], folder: Path, where: str) -> tuple[Path, ...]:
    """The true views that the file names; of a concept of the bank that has no ``truth`` its other views."""
    used = {photo.path for photo in photos}
    views = [folder / view for view in tables.listed(table, "truth", str, where) or []]
    first = photos[0].path
    if "truth" not in table and pocket.BANK in first.parents:
        views = sorted(set(first.parent.glob("view_*.png")) - used)
    for view in views:
        _there(view, where)
    return tuple(views)


def _there(path: Path, where: str) -> None:
    if not path.is_file():
        bank = ", ".join(pocket.concepts())
        raise UserError(f"{where}: {path} does not exist, nor is it a concept of the bank ({bank})")
