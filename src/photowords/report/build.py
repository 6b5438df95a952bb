"""A study's report: Markdown, tables, figures and one self-contained page; and the check of it against the trials."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from photowords import files, plots
from photowords.errors import UserError
from photowords.report import appendix, blocks, results
from photowords.report.document import Document, to_csv
from photowords.report.markdown import to_markdown
from photowords.report.page import to_html
from photowords.report.results import Results


def write(folder: Path | str) -> dict[str, Any]:
    """Write a study's report, of as many trials as are finished, into ``folder``/report.

    That folder is made beside its place and put there whole, so that a stopped report leaves the one before, and a kill
    at any moment the old one or the new one; what else was in it is gone. The same trials give the same bytes.

    Returns:
        trials, planned (numbers), report, page (paths of report.md and report.html), tables, figures (numbers).

    Raises:
        UserError: no study's folder, a damaged file in it, a block that cannot be made, or report/ cannot be written.
    """
    folder = Path(folder)
    study = results.read(folder)
    document = _document(study)
    target = folder / "report"
    files.mend(target)
    if target.exists() and any(target.iterdir()) and not (target / "report.md").exists():
        raise UserError(f"{target} holds something else than a report; move it away")
    with files.atomic_folder(target, replace=True) as making:
        files.make_folder(making / "figures")
        files.make_folder(making / "tables")
        for drawing in document.drawings:
            figure = drawing.draw()
            files.write_bytes(making / "figures" / f"{drawing.name}.png", plots.to_png(figure))
            files.write_bytes(making / "figures" / f"{drawing.name}.svg", plots.to_svg(figure))
        for name, text in _texts(document).items():
            files.write_text(making / name, text)
        files.write_text(making / "report.html", to_html(document, folder, _drawn(document, making)))
    return {
        "trials": len(study.trials),
        "planned": len(study.planned),
        "report": str(target / "report.md"),
        "page": str(target / "report.html"),
        "tables": len(document.data),
        "figures": len(document.drawings),
    }


def check(folder: Path | str) -> list[str]:
    """Recompute a report's numbers from the trial files; a sentence for each thing that differs, none if all is right.

    Markdown, CSV and the page are compared by their bytes. Figures are not drawn again, but the page must show the ones
    that are there. Raises UserError for no study's folder or a damaged file in it.
    """
    folder = Path(folder)
    document = _document(results.read(folder))
    place = folder / "report"
    files.mend(place)
    if not place.is_dir():
        return [f"{folder} has no report; write one first"]
    texts = _texts(document)
    found = _changed_trials(place / "tables" / "trials.csv", texts["tables/trials.csv"])
    for name, expected in texts.items():
        file = place / name
        if not file.is_file():
            found.append(f"report/{name} is missing; write the report again")
        elif (actual := file.read_bytes()) != expected.encode():
            found.append(
                f"report/{name} differs from what the trials give, first in line {_first_line(actual, expected)}"
            )
    drawings = [f"figures/{drawing.name}.{suffix}" for drawing in document.drawings for suffix in ("png", "svg")]
    missing = [name for name in (*drawings, "report.html") if not (place / name).is_file()]
    found += [f"report/{name} is missing; write the report again" for name in missing]
    if (
        not missing
        and (place / "report.html").read_bytes() != to_html(document, folder, _drawn(document, place)).encode()
    ):
        found.append("report/report.html differs from what the trials and the figures in report/ give")
    known = {*texts, *drawings, "report.html"}
    for file in sorted(place.rglob("*")):
        if file.is_file() and (name := file.relative_to(place).as_posix()) not in known:
            found.append(f"report/{name} is no part of the report; remove it or write the report again")
    return found


def _document(study: Results) -> Document:
    names = [arm.name for arm in study.arms]
    sections = []
    for number, block in enumerate(study.plan.get("report", []), start=1):
        sections.append(blocks.parse(block, names).make(study, f"{number:02d}-{block['kind']}"))
    status = f"{len(study.trials)} of {len(study.planned)} trials are finished"
    if study.missing:
        status += "; all numbers are of these alone, and arms may stand on different concepts and seeds"
    title = str(study.plan.get("name", study.folder.name))
    return Document(
        title,
        str(study.plan.get("question", "")),
        f"{status}.",
        [*sections, appendix.above_start(study), appendix.protocol(study), appendix.trials(study)],
    )


def _texts(document: Document) -> dict[str, str]:
    """The files whose bytes are checked: name within the report's folder -> text."""
    tables = {f"tables/{name}.csv": to_csv(rows) for name, rows in document.data.items()}
    return {"report.md": to_markdown(document), **tables}


def _drawn(document: Document, place: Path) -> dict[str, tuple[bytes, bytes]]:
    """The figures of a report's folder: name -> PNG, SVG."""
    files_ = {drawing.name: place / "figures" / drawing.name for drawing in document.drawings}
    return {
        name: (file.with_name(f"{name}.png").read_bytes(), file.with_name(f"{name}.svg").read_bytes())
        for name, file in files_.items()
    }


def _changed_trials(file: Path, expected: str) -> list[str]:
    """Sentences for trial files that changed, came or went since the report was written."""
    if not file.is_file():
        return []
    before, now = (_hashes(text) for text in (file.read_text(encoding="utf-8", errors="replace"), expected))
    found = [
        f"trials/{id_}.json has changed since the report was written"
        for id_ in now
        if before.get(id_, now[id_]) != now[id_]
    ]
    found += [f"trials/{id_}.json is in the report, but not in the study's folder" for id_ in before if id_ not in now]
    if new := [id_ for id_ in now if id_ not in before]:
        found.append(
            f"the report is of {len(before)} trials, but {len(before) + len(new)} are finished; write it again"
        )
    return found


def _hashes(table: str) -> dict[str, str]:
    return {row["ids"]: row.get("sha256") or "" for row in csv.DictReader(io.StringIO(table)) if row.get("ids")}


def _first_line(actual: bytes, expected: str) -> int:
    pairs = zip(actual.decode(errors="replace").split("\n"), expected.split("\n"), strict=False)
    same = next((n for n, (a, b) in enumerate(pairs) if a != b), None)
    return (min(len(actual.split(b"\n")), expected.count("\n") + 1) if same is None else same) + 1
