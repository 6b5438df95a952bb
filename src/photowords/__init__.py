"""photowords: personalise text-to-image models from one photo, by inverting it into a sentence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from photowords import threads

__version__ = "0.1.0"

threads.prepare()  # before anything imports torch

# Loaded on first use, so that importing the package does not import torch.
_HOME = {
    "Backbone": "backbones",
    "Caption": "starts",
    "Class": "starts",
    "ClassRepeated": "starts",
    "Clicks": "segmentation",
    "Concept": "concept",
    "GenerateSettings": "settings",
    "InvertSettings": "settings",
    "MultiStar": "starts",
    "OtherCaption": "starts",
    "RandomVectors": "starts",
    "RandomWords": "starts",
    "Run": "inversion",
    "Selection": "segmentation",
    "Shuffled": "starts",
    "Star": "starts",
    "Start": "starts",
    "Step": "inversion",
    "UserError": "errors",
    "Word": "concept",
    "Words": "starts",
    "evaluate": "evaluation",
    "generate": "generation",
    "invert": "inversion",
    "learn": "learning",
    "load": "backbones",
    "load_photo": "images",
    "read": "formats",
    "recipe": "recipes",
    "start": "initializers",
    "write": "formats",
}
__all__ = [
    "Backbone",
    "Caption",
    "Class",
    "ClassRepeated",
    "Clicks",
    "Concept",
    "GenerateSettings",
    "InvertSettings",
    "MultiStar",
    "OtherCaption",
    "RandomVectors",
    "RandomWords",
    "Run",
    "Selection",
    "Shuffled",
    "Star",
    "Start",
    "Step",
    "UserError",
    "Word",
    "Words",
    "evaluate",
    "generate",
    "invert",
    "learn",
    "load",
    "load_photo",
    "read",
    "recipe",
    "start",
    "write",
]

if TYPE_CHECKING:
    from photowords.backbones import Backbone, load
    from photowords.concept import Concept, Word
    from photowords.errors import UserError
    from photowords.evaluation import evaluate
    from photowords.formats import read, write
    from photowords.generation import generate
    from photowords.images import load_photo
    from photowords.initializers import start
    from photowords.inversion import Run, Step, invert
    from photowords.learning import learn
    from photowords.recipes import recipe
    from photowords.segmentation import Clicks, Selection
    from photowords.settings import GenerateSettings, InvertSettings
    from photowords.starts import (
        Caption,
        Class,
        ClassRepeated,
        MultiStar,
        OtherCaption,
        RandomVectors,
        RandomWords,
        Shuffled,
        Star,
        Start,
        Words,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
