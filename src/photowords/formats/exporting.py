"""A concept taken to another tool: the file or files, what to type there, and a picture to know it by."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.Image import Image

from photowords import images
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.formats.names import default_stem
from photowords.formats.reading import read
from photowords.formats.tools import TOOLS
from photowords.formats.use import Use, use
from photowords.formats.writing import per_word as each_word
from photowords.formats.writing import write


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: each file with the concept in it and how it is used.
        prompt: one that names the whole concept, as it is typed in the tool.
        preview: a picture beside the file; None where there is none, or where the file holds it.
    """

    files: tuple[tuple[Path, Concept, Use], ...]
    prompt: str
    preview: Path | None


def target(concept: Concept, out: Path, tool: str) -> Path:
    """The file to write: ``out``, or in the folder ``out`` one that most tools can be asked for by name."""
    usual = next(iter(TOOLS[tool].files))
    return out / f"{default_stem(concept.name)}{usual}" if out.is_dir() else out


def parts(concept: Concept, path: Path, tool: str, per_word: bool = False) -> list[tuple[Path, Concept]]:
    """The files to write, and what stands in each: the concept, or with ``per_word`` each of its learned words. Raises
    UserError as ``per_word`` does."""
    if not per_word:
        return [(path, concept)]
    words = each_word(concept, tool)
    return [(path.with_stem(f"{path.stem}{word.name.removeprefix(concept.name)}"), word) for word in words]


def preview_of(path: Path, tool: str) -> Path | None:
    """Where the picture beside a concept's file stands; None where the file holds it."""
    return None if tool == "photowords" or path.suffix in (".png", ".webp") else path.with_suffix(".preview.png")


def is_earlier(concept: Concept, path: Path) -> bool:
    """Whether a file was written of this concept, however often it was learned since: it says the same photos and
    sentence. Where no photo is known, it must hold the same vectors."""
    try:
        with warnings.catch_warnings():  # of what is about to be replaced
            warnings.simplefilter("ignore")
            there = read(path)
    except UserError:
        return False
    photos = concept.provenance.get("photos_sha256")
    if (there.sentence, there.provenance.get("photos_sha256")) != (concept.sentence, photos):
        return False
    if photos:
        return True
    encoders = {*concept.encoders}
    return encoders == {*there.encoders} and all(
        torch.equal(there.vectors(name), concept.vectors(name)) for name in encoders
    )


def export(concept: Concept, path: Path, tool: str, sample: Image | None = None, per_word: bool = False) -> Exported:
    """Write a concept for a tool in the files that ``parts`` names.

    ``sample`` is a picture that the concept drew. Raises UserError as ``write`` and ``per_word`` do.
    """
    picture = None if per_word else sample  # which shows no single word
    files, made = [], parts(concept, path, tool, per_word)
    for file, part in made:
        write(part, file, tool, picture)
        files.append((file, part, use(part, file, tool, [each for each, _ in made])))
    phrases = [told.phrase for _, _, told in files]
    if per_word:  # a frozen word is itself
        phrases = list(_with_frozen(concept, phrases))
    preview = preview_of(path, tool) if picture is not None else None
    if picture is not None and preview is not None:
        images.save_png(picture, preview)
    return Exported(tuple(files), concept.example(" ".join(phrases)), preview)


def _with_frozen(concept: Concept, phrases: list[str]) -> Iterator[str]:
    learned = iter(phrases)
    for word in concept.words:
        yield next(learned) if word.trainable else word.text


def sample_of(run: Path, concept: Concept) -> Image | None:
    """The first of the newest pictures that a run drew of its concept, or of that on its way; never the plain words'
    for one that has learned. None for a file, and for a run without such pictures.

    Warns of a damaged one, which is none: a concept is whole without its picture.
    """
    learned = concept.provenance.get("step")
    rows = {int(path.stem[5:]): path for path in (run / "samples").glob("step_*.png") if path.stem[5:].isdecimal()}
    if isinstance(learned, int):
        rows = {step: path for step, path in rows.items() if step == learned or 0 < step < learned}
    try:
        row = images.load_photo(rows[max(rows)]) if rows else None
    except UserError as error:
        warnings.warn(f"the export has no picture: {error}", PhotowordsWarning, stacklevel=2)
        return None
    return row and row.crop((0, 0, row.height, row.height))  # squares, side by side
