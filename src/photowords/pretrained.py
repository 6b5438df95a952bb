"""Networks beside the backbone, which read, segment and score: how each is loaded, named and lent a device.

Each is loaded once, in float32 and frozen, and stays in main memory; on a device it takes room only while it works.
A hub name may end in ``@`` and a branch, tag or commit: ``Salesforce/blip-image-captioning-base@82a37760``.
"""

from __future__ import annotations

import functools
import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from photowords import images
from photowords.errors import UserError, reason

Network = TypeVar("Network")

OTHER_FORMATS = (".bin", ".h5", ".msgpack", ".onnx", ".ot")

# --- names ---


def pinned(source: str) -> tuple[str, str | None]:
    """Folder or hub name, and the revision after its ``@``; None for folders and for names without one."""
    if Path(source).exists():
        return source, None
    name, _, pin = source.partition("@")
    return name, pin or None


def portable_name(source: str) -> str:
    """What a network is called in a file that leaves this machine: the hub name, or the folder's last part."""
    return Path(source).resolve().name if Path(source).exists() else source


def revision(source: str) -> str | None:
    """The hub's commit that a network was loaded from; None for folders."""
    from huggingface_hub import try_to_load_from_cache

    name, pin = pinned(source)
    cached = None if Path(source).exists() else try_to_load_from_cache(name, "config.json", revision=pin)
    return Path(cached).parent.name if isinstance(cached, str) else None


def identity(source: str, what: str) -> str:
    """A transformers network's name with all that its answers depend on: the hub's commit, or a hash of its folder.

    Raises UserError as ``pretrained`` does.
    """
    if not Path(source).exists():
        config(source, what)  # a hub name has no commit here before something of it has been fetched
        return f"{pinned(source)[0]}@{revision(source)}"
    return f"{portable_name(source)} {_folder_digest(Path(source).resolve())}"


@functools.lru_cache(maxsize=8)
def _folder_digest(folder: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over a folder's files, names and bytes.

    Hidden files are left out, and, beside safetensors, the same weights in other formats.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    unread = OTHER_FORMATS if any(name.endswith(".safetensors") for name in files) else ()
    shown = [name for name in files if not name.endswith(unread) and "/." not in f"/{name}"]
    named = "".join(f"{name} {images.sha256(files[name])}\n" for name in sorted(shown))
    return hashlib.sha256(named.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=32)
def digest(path: Path) -> str:
    """The first 8 hexadecimal digits of a weight file's SHA-256 (torchvision's file names end in the same)."""
    return images.sha256(path)[:8]


# --- loading ---


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' notes while the block runs: they advise torchvision, which nothing here needs."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def config(source: str, what: str, field: str | None = None) -> dict[str, Any]:
    """config.json as it is written, also of families that transformers does not know.

    Raises UserError as ``pretrained`` does, and where no "model_type" says which family it is.
    """
    found: dict[str, Any] = pretrained(_Config, source, what, field)
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


def pretrained(kind: Any, source: str, what: str, field: str | None = None, **options: Any) -> Any:
    """``kind.from_pretrained(source)``.

    Raises UserError when it cannot be found, fetched or read; for a hub name it says what to download, and that the
    folder goes to the setting ``field`` (by default called as ``what`` is).
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    name, pin = pinned(source)
    if not Path(source).exists() and unreachable():
        options["local_files_only"] = True
    try:
        return kind.from_pretrained(name, **({"revision": pin} if pin else {}), **options)
    except Exception as error:  # transformers and the hub raise many kinds; each means the same here
        advice = "give a transformers folder, or a hub name that is in the local cache or can be reached"
        if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(source).exists():
            download = f"hf download {name}{f' --revision {pin}' if pin else ''} --local-dir FOLDER"
            advice = f"download {name} on a machine with a network ({download}) and give FOLDER as `{field or what}`"
        raise UserError(f"the {what} {source!r} cannot be loaded ({reason(error)}); {advice}") from error


def unreachable() -> bool:
    """Whether the hub does not answer, so that only the local cache is worth asking.

    The hub's own client tries again for half a minute, for each file anew, even for those in the cache.
    """
    return _unreachable(int(time.monotonic() // 60))


@functools.lru_cache(maxsize=1)
def _unreachable(minute: int) -> bool:
    """The same, asked once a minute."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # no network, no such host, a proxy that refuses, HF_HUB_OFFLINE: each its own kind
        return True
    return False


def network(kind: Any, source: str, what: str, field: str | None = None, **options: Any) -> Any:
    """A transformers model in float32, frozen and in evaluation mode, in main memory. Raises as ``pretrained`` does."""
    return pretrained(kind, source, what, field, dtype=torch.float32, **options).requires_grad_(False).eval()


def fill(model: nn.Module, path: Path) -> None:
    """Fill a network of our own with a weight file, likewise; entries that it has no place for are left.

    Raises UserError for a file that is damaged, would run code, or does not hold what the network needs.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            entries: dict[str, Tensor] = load_file(path)
        else:
            entries = torch.load(path, map_location="cpu", weights_only=True)
        wanted = model.state_dict()
        # Files of before torch 0.4.1 do not count batches, and nothing here needs the count.
        missing = [key for key in wanted if key not in entries and not key.endswith("num_batches_tracked")]
        if missing:
            raise ValueError(f"it has no entry {missing[0]}")
        model.load_state_dict({key: entries[key].float() for key in wanted if key in entries}, strict=False)
    except Exception as error:  # a pickle that is refused, a cut file, other shapes: each its own kind
        raise UserError(f"{path} does not hold the weights wanted of it ({reason(error)}); copy it again") from error
    model.requires_grad_(False).eval()


class Kept(Generic[Network]):
    """``make(source, device, ...)``, whose last ``most`` networks are kept for whoever asks next.

    A network is known by its source and device alone; further arguments say only how an error is worded. ``source``
    is what ``make`` takes: a folder, a hub name, or None for its default.
    """

    def __init__(self, make: Callable[..., Network], most: int = 2) -> None:
        self._make, self._most = make, most
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str | None, str], Network] = OrderedDict()

    def __call__(
        self, source: str | None = None, device: torch.device | str = "cpu", field: str | None = None
    ) -> Network:
        """The network, loaded or met again. Raises what ``make`` raises."""
        place = str(Path(source).resolve()) if source is not None and Path(source).exists() else source
        key = place, str(device)
        with self._lock:
            if key not in self._found:
                self._found[key] = self._make(source, device, **({"field": field} if field else {}))
                if len(self._found) > self._most:
                    self._found.popitem(last=False)
            self._found.move_to_end(key)
            return self._found[key]


# --- devices ---

_ALONE = threading.RLock()


@contextmanager
def on(device: torch.device | str, *networks: nn.Module) -> Iterator[None]:
    """Networks on a device while the block runs, and back in main memory after it.

    Nothing moves that is there already: on the CPU, or in a block inside another. One thread works at a time, so that
    none takes a network away from another.
    """
    there = torch.empty(0, device=device).device  # "cuda" is the current one of them
    if there.type == "cpu":  # which is where they are at home
        yield
        return
    with _ALONE:
        moved = [net for net in networks if any(p.device != there for p in net.parameters())]
        try:
            for net in moved:
                net.to(there)
            yield
        finally:
            for net in moved:
                net.to("cpu")
