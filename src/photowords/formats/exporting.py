"""A concept taken to another tool: the file or files, what to type there, and a picture to know it by."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from photowords import images
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.formats.names import default_stem
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


def export(concept: Concept, path: Path, tool: str, sample: Image | None = None, per_word: bool = False) -> Exported:
    """Write a concept for a tool, or with ``per_word`` each of its learned words as a file of its own.

    ``sample`` is a picture that the concept drew. Raises UserError as ``write`` and ``per_word`` do.
    """
    picture = None if per_word else sample  # which shows no single word
    files = []
    for part in each_word(concept, tool) if per_word else [concept]:
        file = path.with_stem(f"{path.stem}{part.name.removeprefix(concept.name)}") if per_word else path
        write(part, file, tool, picture)
        files.append((file, part, use(part, file, tool)))
    phrases = [told.phrase for _, _, told in files]
    if per_word:  # a frozen word is itself
        phrases = list(_with_frozen(concept, phrases))
    preview = None
    if picture is not None and tool != "photowords" and path.suffix not in (".png", ".webp"):
        preview = path.with_suffix(".preview.png")
        images.save_png(picture, preview)
    return Exported(tuple(files), f"a photo of {' '.join(phrases)}", preview)


def _with_frozen(concept: Concept, phrases: list[str]) -> Iterator[str]:
    learned = iter(phrases)
    for word in concept.words:
        yield next(learned) if word.trainable else word.text


def sample_of(run: Path) -> Image | None:
    """The first of the last pictures that a run drew; None for a file, and for a run without samples.

    Warns of a damaged one, which is none: a concept is whole without its picture.
    """
    rows = sorted((run / "samples").glob("step_*.png"))
    try:
        row = images.load_photo(rows[-1]) if rows else None
    except UserError as error:
        warnings.warn(f"the export has no picture: {error}", PhotowordsWarning, stacklevel=2)
        return None
    return row and row.crop((0, 0, row.height, row.height))  # squares, side by side
