"""Writing files so that a reader never meets half of one: to a temporary name beside it, then renamed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from photowords.errors import UserError


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` on success, remove it on any failure.

    Raises:
        UserError: the folder does not exist, or the file cannot be written (full disk, no permission, a folder).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: {path.parent} is not a folder; make it first or choose another")
    # Hidden, and of a fixed length, so that a long name stays possible; the suffix says who left it after a power cut.
    temporary = path.parent / f".{secrets.token_hex(6)}.photowords"
    try:
        yield temporary
        os.replace(temporary, path)
    # safetensors reports a full disk in its own class, which is no OSError.
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"cannot write {path}: {reason}; choose another place or make room") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a new temporary folder beside ``path``; rename it to ``path`` on success, remove it on any failure.

    ``path`` must be absent or an empty folder; the folders above it are made. Raises UserError as ``atomic`` does.
    """
    path = Path(path).absolute()
    make_folder(path.parent)
    temporary = path.parent / f".{secrets.token_hex(6)}.photowords"
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot make {path}: {error.strerror or error}; choose another place or make room") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a whole file, or leave what was there. Raises UserError as ``atomic`` does."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write a whole UTF-8 file, line ends as given. Raises UserError as ``atomic`` does."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write plain JSON values, one per line. Raises UserError as ``atomic`` does."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def make_folder(path: Path | str) -> None:
    """Make a folder, and those above it, unless it is there. Raises UserError where that cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made: {error.strerror}; choose another place") from error
