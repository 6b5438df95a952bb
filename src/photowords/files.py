"""Writing files so that a reader never meets half of one: to a temporary name beside it, then renamed."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError

from photowords.errors import UserError

TEMPORARY = re.compile(r"\.(\d+)-([0-9a-f]{6})[0-9a-f]+\.photowords")
"""The names of what is being written: the process that does, its machine, and chance."""
LOCK = ".lock.photowords"


def _temporary(folder: Path) -> Path:
    # Hidden, and of a fixed length, so that a long name stays possible; the suffix says who left it after a power cut.
    return folder / f".{os.getpid()}-{_machine()}{secrets.token_hex(3)}.photowords"


@functools.cache
def _machine() -> str:
    """Six digits for what numbers the processes: this machine, or a container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:6]


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` on success, remove it on any failure.

    Raises:
        UserError: the folder does not exist, or the file cannot be written (full disk, no permission, a folder).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: {path.parent} is not a folder; make it first or choose another")
    temporary = _temporary(path.parent)
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
def atomic_folder(path: Path | str, replace: bool = False) -> Iterator[Path]:
    """Yield a new temporary folder beside ``path``; rename it to ``path`` on success, remove it on any failure.

    ``path`` must be absent or an empty folder, unless it is to be replaced: then what is there goes, and a kill at any
    moment leaves one of the two whole (see ``mend``). The folders above it are made, and what a killed process of this
    machine left beside it is removed. Raises UserError as ``atomic`` does.
    """
    path = Path(path).absolute()
    make_folder(path.parent)
    remove_left(path.parent, shared=True)
    temporary = _temporary(path.parent)
    try:
        temporary.mkdir()
        yield temporary
        if not (replace and path.exists()):
            with suppress(OSError):  # Windows renames over no folder, not even over an empty one
                path.rmdir()
            os.replace(temporary, path)
        elif not _exchange(temporary, path):
            os.replace(path, _aside(path))
            os.replace(temporary, path)
            shutil.rmtree(_aside(path), ignore_errors=True)
    except (OSError, SafetensorError) as error:
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"cannot make {path}: {told}; choose another place or make room") from error
    finally:
        mend(path)
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Raise UserError for the folder that the process is in, in whose place ``atomic_folder`` would put another."""
    if folder.is_dir() and folder.samefile("."):
        raise UserError(f"{folder} is the folder that you are in; give another as `out`")


def mend(path: Path) -> None:
    """Put back what was set aside of a folder by a process that was killed while it replaced it."""
    if not path.exists() and _aside(path).exists():
        os.replace(_aside(path), path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step, so that there is no moment between; False where the system has no such step."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of fcntl.h and stdio.h
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def is_ours(path: Path) -> bool:
    """Whether a path is a temporary file or folder of this package, or its lock."""
    return path.name == LOCK or TEMPORARY.fullmatch(path.name) is not None


def remove_left(folder: Path, shared: bool = False) -> None:
    """Remove what killed processes left half-written in a folder; what a live one is writing stays.

    ``shared``: this process does not hold the folder, so that what it writes itself in another thread stays as well,
    and what a process of another machine writes, whose number says nothing here.
    """
    for path in folder.iterdir() if os.access(folder, os.R_OK) else ():
        named = TEMPORARY.fullmatch(path.name)
        if named is None or _at_work(int(named[1])):
            continue
        if shared and (named[2] != _machine() or int(named[1]) == os.getpid() or sys.platform == "win32"):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _at_work(process: int) -> bool:
    """Whether another process of this number lives."""
    if process == os.getpid() or sys.platform == "win32":  # where asking would end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


PATIENCE = 1.0
"""Seconds to try for a lock: ``is_locked`` takes it for a moment to see whether it can be had."""


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for this process; the system lets it go when the process ends, however it does.

    Raises UserError, which names ``what``, when another process holds it, and OSError where nothing can be written.
    A file system without locks locks nothing.
    """
    with (folder / LOCK).open("ab") as file:
        until = time.monotonic() + PATIENCE
        while not _take(file, shared=False):
            if time.monotonic() > until:
                raise UserError(f"{what} is at work in {folder} already; wait until it ends, or give another `out`")
            time.sleep(0.02)
        os.utime(folder / LOCK)  # says when the work began
        yield


def is_locked(folder: Path) -> bool:
    """Whether a living process holds a folder."""
    try:
        with (folder / LOCK).open("rb") as file:
            return not _take(file, shared=True)
    except OSError:  # nobody ever did
        return False


def _take(file: IO[bytes], shared: bool) -> bool:
    """Take the lock of an open file until it is closed; False when another holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass
    return True


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a whole file, or leave what was there. Raises UserError as ``atomic`` does."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write a whole UTF-8 file, line ends as given. Raises UserError as ``atomic`` does."""
    write_bytes(path, text.encode())


def finite(value: Any) -> Any:
    """Plain values for readers of JSON, which has no NaN and no infinity: None, where the PSNR of identical pictures
    is infinite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path | str, value: Any) -> None:
    """Write plain JSON values, one per line. Raises UserError as ``atomic`` does."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def append(path: Path | str, line: str) -> None:
    """Add a line to a file; a reader may meet it half-written. Raises UserError where that cannot be."""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room") from error


def make_folder(path: Path | str) -> None:
    """Make a folder, and those above it, unless it is there. Raises UserError where that cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made: {error.strerror}; choose another place") from error
