"""photowords: personalise text-to-image models from one photo, by inverting it into a sentence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Loaded on first use, so that importing the package does not import torch.
_HOME = {
    "Backbone": "backbones",
    "Clicks": "segmentation",
    "Concept": "concept",
    "GenerateSettings": "settings",
    "Hint": "initializers",
    "InvertSettings": "settings",
    "Run": "inversion",
    "Selection": "learning",
    "Step": "inversion",
    "UserError": "errors",
    "Word": "concept",
    "evaluate": "evaluation",
    "generate": "generation",
    "invert": "inversion",
    "learn": "learning",
    "load": "backbones",
    "load_photo": "images",
    "read": "formats",
    "start": "initializers",
    "write": "formats",
}
__all__ = [
    "Backbone",
    "Clicks",
    "Concept",
    "GenerateSettings",
    "Hint",
    "InvertSettings",
    "Run",
    "Selection",
    "Step",
    "UserError",
    "Word",
    "evaluate",
    "generate",
    "invert",
    "learn",
    "load",
    "load_photo",
    "read",
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
    from photowords.initializers import Hint, start
    from photowords.inversion import Run, Step, invert
    from photowords.learning import Selection, learn
    from photowords.segmentation import Clicks
    from photowords.settings import GenerateSettings, InvertSettings


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
