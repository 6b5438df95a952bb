"""What an initializer answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Found:
    """The text whose tokens become placeholders, and what is worth remembering of how it was found."""

    text: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
