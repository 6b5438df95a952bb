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
    """What the names of a part's weights carry: "fp16" where its folder has such files alone (model.fp16.safetensors),
    as people keep who save the room of the others; None where there are plain ones."""
    names = [path.name for kind in ("*.safetensors", "*.bin") for path in part.glob(kind)]
    return "fp16" if names and all(".fp16." in name or ".fp16-" in name for name in names) else None
