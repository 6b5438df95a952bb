"""What commands read: concepts, and the model that suits them or the photos."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from photowords.cli.options import say
from photowords.errors import PhotowordsWarning, UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from photowords.concept import Concept


def read(path: Path, name: str | None = None) -> Concept:
    """``formats.read``, whose every complaint then names the file."""
    from photowords import formats

    try:
        return formats.read(path, name)
    except UserError as error:
        if str(path) in str(error):
            raise
        raise UserError(f"in {path}, {error}") from error


def warn_of_plain(path: Path, concept: Concept) -> None:
    """Warn of a run that stands at step 0."""
    if path.is_dir() and concept.provenance.get("step") == 0:
        warnings.warn(f"{path} has learned nothing yet: its words are the model's own", PhotowordsWarning, stacklevel=3)


def model_for(
    args: argparse.Namespace, photos: Sequence[Image], masks: Sequence[Image | None], names: Sequence[str] = ()
) -> str:
    """What --model names; for auto, the one that suits the photos, of these names, which is then said."""
    if args.model not in (None, "auto"):
        return str(args.model)
    from photowords.backbones import POCKET, automatic

    chosen = automatic.for_photos(photos, masks, names)
    if chosen != POCKET:
        say(args, f"model          {chosen} (the photo is a real one; --model chooses another)")
    return chosen


def model_of(args: argparse.Namespace, concepts: Sequence[Concept], paths: Sequence[Path]) -> str:
    """What --model names; for auto, the one that the concepts, read from these files or run folders, were made for."""
    if args.model not in (None, "auto"):
        return str(args.model)
    from photowords.backbones import automatic

    return automatic.for_concepts(concepts, paths)
