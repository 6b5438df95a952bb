"""Where a model comes from, and under which names its weights lie there."""

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


def variant(part: Path) -> str | None:
    """ "fp16" for a part of a model's folder that has files of that name alone (``model.fp16.safetensors``), as many
    save the room of the others; None where there are plain ones, which are preferred."""
    names = [path.name for kind in ("*.safetensors", "*.bin") for path in part.glob(kind)]
    return "fp16" if names and all(".fp16." in name or ".fp16-" in name for name in names) else None
