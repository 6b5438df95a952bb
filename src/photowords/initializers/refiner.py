"""An optional chat endpoint that shortens or restyles a caption."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refiner:
    """An OpenAI-compatible chat endpoint."""

    url: str
    model: str
