"""Loading a reader (captioner, classifier) by folder or hub name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photowords.errors import UserError


def portable_name(source: str) -> str:
    """What a reader is called in a file that leaves this machine: the hub name, or the folder's last part."""
    return Path(source).resolve().name if Path(source).exists() else source


def pretrained(kind: Any, source: str, what: str, **options: Any) -> Any:
    """``kind.from_pretrained(source)``. Raises UserError when it cannot be found, fetched or read."""
    try:
        return kind.from_pretrained(source, **options)
    except Exception as error:  # transformers and the hub raise many kinds; each means the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the {what} {source!r} cannot be loaded ({reason[:160]}); give a transformers folder, or a hub name "
            "that is in the local cache or can be reached"
        ) from error
