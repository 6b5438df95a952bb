"""A report's parts; ``markdown`` and ``page`` write them out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]
"""One row of a CSV file: column -> text, number or None; the same columns in every row."""


class Strong(str):
    """A cell in bold."""


class Photo(str):
    """A cell that shows a picture: its path within the study's folder."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table to read.

    Attributes:
        caption: what it shows and how that was obtained.
        head: of each column; the first column names the rows.
        rows: as many cells each.
        sources: row -> the ids of the trials that it came from.
        data: the CSV file (in tables/, without suffix) with the same numbers; empty for none.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    data: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn when it is asked for.

    Attributes:
        name: of its files in figures/, without suffix.
        caption: what it shows and how that was obtained.
        draw: makes the matplotlib figure.
        data: the CSV file with its numbers; empty for none.
        photos: it is made of pictures, so the page holds it as PNG.
    """

    name: str
    caption: str
    draw: Callable[[], Any]
    data: str = ""
    photos: bool = False


Part = Text | Table | Drawing


@dataclass(frozen=True)
class Section:
    """A heading, what stands under it, and its CSV files: name -> rows."""

    title: str
    parts: Sequence[Part]
    data: Mapping[str, Sequence[Record]] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    lead: str
    status: str
    sections: Sequence[Section]

    @property
    def data(self) -> dict[str, Sequence[Record]]:
        """Every CSV file: name -> rows."""
        return {name: rows for section in self.sections for name, rows in section.data.items()}

    @property
    def drawings(self) -> list[Drawing]:
        """Every figure, in order."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Drawing)]


def to_csv(rows: Sequence[Record]) -> str:
    """Six significant digits (a sum's last bits differ between machines); NaN and None are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])  # the columns
    writer.writerows([_plain(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _plain(value: str | int | float | None) -> str | int:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
