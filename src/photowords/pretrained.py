"""Loading a transformers model (captioner, classifier, segmenter, scorer) by folder or hub name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photowords.errors import UserError, reason


def portable_name(source: str) -> str:
    """What a reader is called in a file that leaves this machine: the hub name, or the folder's last part."""
    return Path(source).resolve().name if Path(source).exists() else source


def revision(source: str) -> str | None:
    """The hub's commit that a reader was loaded from; None for folders."""
    from huggingface_hub import try_to_load_from_cache

    cached = None if Path(source).exists() else try_to_load_from_cache(source, "config.json")
    return Path(cached).parent.name if isinstance(cached, str) else None


def pretrained(kind: Any, source: str, what: str, **options: Any) -> Any:
    """``kind.from_pretrained(source)``. Raises UserError when it cannot be found, fetched or read."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(source, **options)
    except Exception as error:  # transformers and the hub raise many kinds; each means the same here
        raise UserError(
            f"the {what} {source!r} cannot be loaded ({reason(error)}); give a transformers folder, or a hub name "
            "that is in the local cache or can be reached"
        ) from error
