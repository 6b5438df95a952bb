"""What a file may be called: in most tools its name, without the extension, is what people type into a prompt."""

from __future__ import annotations

import re
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Literal

from photowords.errors import PhotowordsWarning, UserError
from photowords.settings import NAME

PREFIX = "pw-"
"""Makes a name that is no word and, having a hyphen, no single token of CLIP, which splits letters from marks."""
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Naming:
    """A tool's rule for the names that its prompts can hold.

    Attributes:
        allowed: what a name may be made of.
        because: why, as a sentence's end.
        word: what a name of letters alone is to the tool, which may be a word of the prompt or a token of CLIP.
        word_because: why.
    """

    allowed: re.Pattern[str]
    because: str
    word: Literal["fine", "risky", "refused"] = "fine"
    word_because: str = ""


def default_stem(name: str) -> str:
    """What an export is called unless one says otherwise: typable everywhere, and no word. ``mug`` -> ``pw-mug``."""
    return name if name.startswith(PREFIX) else PREFIX + name.strip("-_")


def check_stem(stem: str, title: str, naming: Naming | None) -> None:
    """Raise UserError for a file's name that a tool cannot be asked for; warn of one that it would take amiss."""
    if naming is None:
        return
    better = default_stem(usable(stem) or "concept")
    if not naming.allowed.fullmatch(stem):
        raise UserError(f"{title} cannot be asked for {stem!r}: {naming.because}; call the file {better}")
    if naming.word == "fine" or not WORD.fullmatch(stem):
        return
    if naming.word == "refused":
        raise UserError(f"{title} may refuse {stem!r}: {naming.word_because}; call the file {better}")
    warnings.warn(f"{title} and {stem!r}: {naming.word_because}; {better} is safer", PhotowordsWarning, stacklevel=3)


def usable(text: str) -> str:
    """What of a token or a file's name can be called in a prompt: ``<mug>`` -> mug; "" for nothing."""
    text = text.strip("<>* ")
    if NAME.fullmatch(text):
        return text
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")
    return (plain if plain[:1].isalpha() or not plain else f"concept-{plain}")[:64]
