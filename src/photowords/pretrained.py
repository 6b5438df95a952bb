"""Loading a transformers model (captioner, classifier, segmenter, scorer) by folder or hub name.

A hub name may end in ``@`` and a branch, tag or commit: ``Salesforce/blip-image-captioning-base@82a37760``.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from photowords.errors import UserError, reason


def portable_name(source: str) -> str:
    """What a reader is called in a file that leaves this machine: the hub name, or the folder's last part."""
    return Path(source).resolve().name if Path(source).exists() else source


def revision(source: str) -> str | None:
    """The hub's commit that a reader was loaded from; None for folders."""
    from huggingface_hub import try_to_load_from_cache

    name, pin = _where(source)
    cached = None if Path(source).exists() else try_to_load_from_cache(name, "config.json", revision=pin)
    return Path(cached).parent.name if isinstance(cached, str) else None


def config(source: str, what: str, option: str | None = None) -> dict[str, Any]:
    """config.json as it is written, also of families that transformers does not know.

    Raises UserError as ``pretrained`` does, and where no "model_type" says which family it is.
    """
    found: dict[str, Any] = pretrained(_Config, source, what, option)
    if not isinstance(found.get("model_type"), str):
        raise UserError(
            f"the {what} {source!r} does not say in its config.json what model it is; give a transformers folder"
        )
    return found


class _Config:
    @staticmethod
    def from_pretrained(source: str, **options: Any) -> dict[str, Any]:
        from transformers import PreTrainedConfig

        found: dict[str, Any] = PreTrainedConfig.get_config_dict(source, **options)[0]
        if not found:
            raise OSError("it has no config.json")
        return found


def pretrained(kind: Any, source: str, what: str, option: str | None = None, **options: Any) -> Any:
    """``kind.from_pretrained(source)``.

    Raises UserError when it cannot be found, fetched or read; for a hub name it says what to download, and that the
    folder goes to ``option`` ("--captioner" for the captioner).
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # without a network it tells of each of its retries
    name, pin = _where(source)
    try:
        return kind.from_pretrained(name, **({"revision": pin} if pin else {}), **options)
    except Exception as error:  # transformers and the hub raise many kinds; each means the same here
        advice = "give a transformers folder, or a hub name that is in the local cache or can be reached"
        if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(source).exists():
            download = f"hf download {name}{f' --revision {pin}' if pin else ''} --local-dir FOLDER"
            advice = (
                f"download {name} on a machine with a network ({download}) and give FOLDER to {option or f'--{what}'}"
            )
        raise UserError(f"the {what} {source!r} cannot be loaded ({reason(error)}); {advice}") from error


def _where(source: str) -> tuple[str, str | None]:
    """Folder or hub name, and the revision that a hub name is pinned to."""
    if Path(source).exists():
        return source, None
    name, _, pin = source.partition("@")
    return name, pin or None
