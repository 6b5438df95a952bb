"""Writing a concept for a tool; every file is read back by the tool's rule before it is said to be there."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from PIL import Image

from photowords.concept import Concept
from photowords.errors import UserError, showable
from photowords.files import atomic
from photowords.formats.names import check_stem, usable
from photowords.formats.reading import parse
from photowords.formats.tools import TOOLS, Package


def write(concept: Concept, path: Path | str, tool: str = "photowords", picture: Image.Image | None = None) -> None:
    """Write a concept whole or not at all, float32; the same concept and name give the same bytes.

    Args:
        concept: of text encoders that the tool can use.
        path: the file, in a folder that exists; its extension, one of the tool's ``files``, says how it is written.
        tool: a key of ``TOOLS``.
        picture: what it draws: a thumbnail in the header, or what a picture card shows.

    Raises:
        UserError: an unknown tool, one that cannot use the concept or be asked for a file of this name, or a file
            that cannot be written.
    """
    path = Path(path)
    if tool not in TOOLS:
        raise UserError(f"there is no tool {tool!r}; choose one of {', '.join(TOOLS)}")
    row = TOOLS[tool]
    tables = row.tables(concept)
    if path.suffix not in row.files:
        known = " or ".join(row.files)
        hint = "" if path.suffix else ", nor is that a folder that is there"
        raise UserError(f"{row.title} wants a file whose name ends in {known}, not {path.name!r}{hint}")
    if len(tables) > 1 and path.suffix != ".safetensors":
        raise UserError(f"for several text encoders {row.title} wants a file whose name ends in .safetensors")
    if not all(table.isfinite().all() for table in tables.values()):
        raise UserError(f"the concept {concept.name} has values that are not finite (NaN or infinity); learn it again")
    check_stem(path.stem, row.title, row.naming)
    form = row.files[path.suffix]
    data = form.encode(Package(concept, tables, row.phrase_for(concept, path), path.stem, picture))
    form.check(data)
    with atomic(path) as temporary:
        temporary.write_bytes(data)
        _check(concept, temporary)


def _check(concept: Concept, written: Path) -> None:
    """That what was written says what was to be written."""
    again = parse(written)
    same = all(torch.equal(again.vectors(encoder), concept.vectors(encoder)) for encoder in concept.encoders)
    if not same or (again.name, *again.texts) != (concept.name, *map(showable, concept.texts)):
        raise AssertionError("a file was written that does not read back as what was to be written")


def per_word(concept: Concept, tool: str = "photowords") -> list[Concept]:
    """The words that were learned, each as a concept of its own: ``mug-1-red``, ``mug-2-mug``.

    Raises UserError for a tool whose prompts call every embedding alike.
    """
    if "{" not in (row := TOOLS[tool]).phrase:
        raise UserError(f"{row.title} calls every embedding {row.phrase}, so its words cannot be told apart")
    parts = []
    for place, word in enumerate(concept.words, 1):
        text = re.sub(r"\W", "", usable(word.text))[:32]
        end = "".join(f"-{part}" for part in (place, text) if part)
        name = concept.name[: 64 - len(end)] + end
        provenance = {**concept.provenance, "sentence": word.text, "word_of": concept.name}
        parts += [Concept(name, (word,), provenance)] if word.trainable else []
    return parts
