"""A report as Markdown, as GitHub reads it."""

from __future__ import annotations

import re

from photowords.report.document import Document, Drawing, Photo, Strong, Table, Text


def to_markdown(document: Document) -> str:
    """The whole document; figures and photos are linked, relative to the report's folder."""
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


def _md_files(part: Table | Drawing) -> str:
    return f" ([numbers](tables/{part.data}.csv))" if part.data else ""


def _md(text: str) -> str:
    if isinstance(text, Photo):
        return f"![](../{text})"
    plain = re.sub(r"([\\`*_|<>]|(?<=\])\()", r"\\\1", " ".join(text.split("\n")))
    return f"**{plain}**" if isinstance(text, Strong) else plain
