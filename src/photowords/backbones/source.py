"""Where a model comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Where a model lies.

    Attributes:
        folder: the pipeline's folder on this machine.
        name: its short name, hub name or folder's name.
        again: what ``backbones.load`` takes to load it again.
        revision: the hub's commit; None for folders.
    """

    folder: Path
    name: str
    again: str
    revision: str | None = None
