"""A report as one HTML page that needs nothing else: no script, no request."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from photowords.report.document import Document, Drawing, Photo, Section, Strong, Table, Text


def to_html(document: Document, folder: Path, drawn: Mapping[str, tuple[bytes, bytes]]) -> str:
    """The page; ``folder`` is the study's, where photos lie, and ``drawn`` has each figure as PNG and SVG."""
    pages = Environment(
        loader=PackageLoader("photowords.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["together"] = lambda text: text.replace(" %", "\u00a0%")  # a number and its sign
    pages.tests |= {"text": _is(Text), "table": _is(Table), "strong": _is(Strong), "photo": _is(Photo)}

    def figure(part: Drawing) -> str:
        # As an image of its own, not inline: ids inside one drawing would meet those of the next.
        png, svg = drawn[part.name]
        return _uri(png, "image/png") if part.photos else _uri(svg, "image/svg+xml")

    def photo(cell: str) -> str:
        return _uri((folder / cell).read_bytes(), "image/png")

    return pages.get_template("page.html").render(document=document, rows=_rows, figure=figure, photo=photo)


def _rows(section: Section) -> Iterator[tuple[bool, list[Any]]]:
    """A section's parts, figures that follow each other in one row: (whether they are figures, the parts)."""
    return ((drawn, list(parts)) for drawn, parts in groupby(section.parts, lambda part: isinstance(part, Drawing)))


def _is(kind: type) -> Any:
    return lambda value: isinstance(value, kind)


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
