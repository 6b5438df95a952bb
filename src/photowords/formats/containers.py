"""Bytes to named entries and back, of each kind of container: safetensors, torch's archive, A1111's picture cards.

Nothing is unpickled but tensors, and nothing is unpacked that is larger than an embedding can be.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import Parameter, ParameterDict

from photowords.errors import UserError
from photowords.formats import card

MOST_BYTES = 64 << 20  # a hundred times the largest embedding: a whole model is refused before it is read
MOST_TABLES = 16
# What A1111 lets in (its modules/safe.py, before 1.10): of torch's archive, and of Python's names in its pickle.
_PARTS = re.compile(r"[^/]+/(data/\d+|version|data\.pkl)")
_NAMES = {
    "collections OrderedDict",
    "torch FloatStorage",
    "torch LongStorage",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch.nn.modules.container ParameterDict",
    "__builtin__ set",
}


class NoEmbedding(Exception):
    """The bytes are of no container that embeddings come in."""


def to_safetensors(tables: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file; the same tensors and metadata give the same bytes."""
    data = safetensors.torch.save(dict(tables), dict(metadata))
    # The library orders the metadata by chance, so the header is written again, sorted.
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:size])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + data[size:]


def to_torch(value: Any) -> bytes:
    """What ``torch.load`` reads, without the parts that A1111's checker refuses; equal values give equal bytes."""
    whole, lean = io.BytesIO(), io.BytesIO()
    torch.save(value, whole)
    with zipfile.ZipFile(whole) as given, zipfile.ZipFile(lean, "w", zipfile.ZIP_STORED) as kept:
        for info in given.infolist():
            if _PARTS.fullmatch(info.filename):
                kept.writestr(zipfile.ZipInfo(info.filename), given.read(info))  # of 1980: no date of today's
    return lean.getvalue()


def check_torch(data: bytes) -> None:
    """Raise ValueError for an archive that A1111's checker would not let in."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        pickled = archive.read(next(name for name in names if name.endswith("/data.pkl")))
    called = {str(told) for code, told, _ in pickletools.genops(pickled) if "GLOBAL" in code.name}
    if refused := [name for name in names if not _PARTS.fullmatch(name)] + sorted(called - _NAMES):
        raise ValueError(f"A1111 would refuse {refused}")


def check_safetensors(data: bytes) -> None:
    """Raise ValueError unless every tensor is float32, as all tools read it."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    if kinds := {entry["dtype"] for key, entry in header.items() if key != "__metadata__"} - {"F32"}:
        raise ValueError(f"tensors of {kinds}")


def load(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """A file's entries, and what is said beside them.

    Raises:
        UserError: damaged, larger inside than an embedding, or a pickle that would run code.
        NoEmbedding: no container of embeddings.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise NoEmbedding
    data = path.read_bytes()
    if data[8:9] == b"{":  # eight bytes of length, then JSON
        return _load_safetensors(path)
    if data.startswith((b"PK\x03\x04", b"\x80")):  # torch's zip, and its older bare pickle
        entries = _load_torch(path, data)
        return entries, _beside(entries)
    if data.startswith(b"\x89PNG") or (data.startswith(b"RIFF") and data[8:12] == b"WEBP"):
        try:
            entries = card.read(data)
        except card.NoCard:
            raise UserError(f"{path} is a picture without an embedding in it; give the file of an embedding") from None
        except Exception as error:  # each decoder fails in its own way
            raise UserError(f"{path} is a damaged picture card; copy it again") from error
        return entries, _beside(entries)
    raise NoEmbedding


def _beside(entries: Any) -> Mapping[str, str]:
    """What we say in a file that has no header: an entry of strings."""
    said = entries.get("photowords") if isinstance(entries, Mapping) else None
    return said if isinstance(said, Mapping) and all(isinstance(text, str) for text in said.values()) else {}


def _load_safetensors(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    try:
        with safe_open(path, framework="pt") as opened:
            if len(keys := opened.keys()) > MOST_TABLES:
                raise NoEmbedding
            return {key: opened.get_tensor(key) for key in keys}, opened.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path} is a damaged or cut-off safetensors file; copy it again") from error


def _load_torch(path: Path, data: bytes) -> Mapping[str, Any]:
    try:
        if data.startswith(b"PK") and _unpacked(data) > MOST_BYTES:
            raise UserError(f"{path} would unpack to far more than an embedding holds; it was not opened")
        # Old A1111 and rinongal files keep their table in a ParameterDict, which holds tensors and runs nothing.
        with torch.serialization.safe_globals([ParameterDict, Parameter]):
            # Bytes, not the path: torch would choose how to read by its extension.
            entries = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        if "persistent_load" in str(error):  # torch before 1.6 stored the source code of what holds the tensors
            raise UserError(
                f"{path} is of an old form that carries program text beside its tensors, which is not opened here; "
                "save it again with torch 1.6 or newer, or as safetensors"
            ) from error
        raise UserError(
            f"{path} is refused because opening this pickle would run code from it; convert it to safetensors first"
        ) from error
    # A damaged file fails as its bytes lead the unpickler to: RuntimeError, struct.error, KeyError, EOFError.
    except Exception as error:
        raise UserError(f"{path} is a damaged or cut-off torch file; copy it again") from error
    if not isinstance(entries, Mapping) or not all(isinstance(key, str) for key in entries):
        raise NoEmbedding
    return entries


def _unpacked(data: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return sum(info.file_size for info in archive.infolist())
