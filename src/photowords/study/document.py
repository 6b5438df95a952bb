"""A report's parts, and how they are written as Markdown, as one HTML page and as CSV."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

TEMPLATE = Path(__file__).with_name("report.html")

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
    """Six significant digits (a resampled mean's last bits differ between machines); NaN and None are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])  # the columns
    writer.writerows([_plain(value) for value in row.values()] for row in rows)
    return text.getvalue()


def to_markdown(document: Document) -> str:
    """Markdown as GitHub reads it; figures and photos are linked, relative to the report's folder."""
    lines = [f"# {_md(document.title)}", _md(document.lead), f"**{_md(document.status)}**"]
    for section in document.sections:
        lines.append(f"## {_md(section.title)}")
        for part in section.parts:
            if isinstance(part, Text):
                lines.append(_md(part.text))
            elif isinstance(part, Drawing):
                lines += [f"![{_md(part.name)}](figures/{part.name}.png)", _md(part.caption) + _md_files(part)]
            else:
                rows = [part.head, ["---"] * len(part.head), *([_md(cell) for cell in row] for row in part.rows)]
                rows[0] = [_md(cell) for cell in part.head]
                lines.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
                lines.append(_md(part.caption) + _md_files(part))
                if part.sources:
                    listed = "\n".join(f"- {_md(row)}: `{' '.join(ids)}`" for row, ids in part.sources.items())
                    lines.append(f"<details><summary>trials behind each row</summary>\n\n{listed}\n\n</details>")
    return "\n\n".join(line for line in lines if line) + "\n"


def to_html(document: Document, folder: Path, drawn: Mapping[str, tuple[bytes, bytes]]) -> str:
    """One page that needs nothing else: no script, no request. ``drawn`` has each figure as PNG and SVG."""
    body, contents = [], []
    for number, section in enumerate(document.sections):
        contents.append(f'<li><a href="#s{number}">{escape(section.title)}</a></li>')
        body.append(f'<section id="s{number}">\n<h2>{escape(section.title)}</h2>')
        row: list[str] = []  # figures that follow each other stand side by side
        for part in section.parts:
            if isinstance(part, Drawing):
                row.append(_html_figure(part, *drawn[part.name]))
                continue
            body += [f'<div class="figures">{"".join(row)}</div>'] if row else []
            row = []
            body.append(f"<p>{escape(part.text)}</p>" if isinstance(part, Text) else _html_table(part, folder))
        body += [f'<div class="figures">{"".join(row)}</div>'] if row else []
        body.append("</section>")
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(document.title),
        lead=escape(document.lead),
        status=escape(document.status),
        contents="\n".join(contents),
        body="\n".join(body).replace(" %", "\u00a0%"),  # a number and its sign stay together
    )


def _html_figure(part: Drawing, png: bytes, svg: bytes) -> str:
    # As an image of its own, not inline: ids inside one drawing would meet those of the next.
    source = _uri(png, "image/png") if part.photos else _uri(svg, "image/svg+xml")
    kind = ' class="photos"' if part.photos else ""
    image = f'<img src="{source}" alt="{escape(part.caption)}">'
    return f"<figure{kind}>{image}<figcaption>{escape(part.caption)}{_html_files(part)}</figcaption></figure>\n"


def _html_table(part: Table, folder: Path) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in part.head)
    rows = "\n".join(f"<tr>{''.join(_html_cell(cell, folder) for cell in row)}</tr>" for row in part.rows)
    table = f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>"
    caption = f"<figcaption>{escape(part.caption)}{_html_files(part)}</figcaption>"
    listed = "".join(f"<dt>{escape(r)}</dt><dd>{escape(' '.join(ids))}</dd>" for r, ids in part.sources.items())
    sources = f"<details><summary>trials behind each row</summary><dl>{listed}</dl></details>" if listed else ""
    return f'<figure class="table"><div class="scroll"><table>{table}</table></div>{caption}{sources}</figure>'


def _html_cell(cell: str, folder: Path) -> str:
    if isinstance(cell, Photo):
        return f'<td><img src="{_uri((folder / cell).read_bytes(), "image/png")}" alt="" width="72"></td>'
    return f"<td><strong>{escape(cell)}</strong></td>" if isinstance(cell, Strong) else f"<td>{escape(cell)}</td>"


def _html_files(part: Table | Drawing) -> str:
    return f' <span class="file">tables/{part.data}.csv</span>' if part.data else ""


def _md_files(part: Table | Drawing) -> str:
    return f" ([numbers](tables/{part.data}.csv))" if part.data else ""


def _md(text: str) -> str:
    if isinstance(text, Photo):
        return f"![](../{text})"
    plain = re.sub(r"([\\`*_|<>]|(?<=\])\()", r"\\\1", " ".join(text.split("\n")))
    return f"**{plain}**" if isinstance(text, Strong) else plain


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _plain(value: str | int | float | None) -> str | int:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
