"""Reading every embedding file: what it is, is decided by its content, never by its extension."""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import Parameter, ParameterDict

from photowords.concept import NAME, Concept, Word
from photowords.errors import UserError

OURS, OURS_BEFORE = "photowords/2", "photowords/1"
CLIP_L, CLIP_G, T5 = "clip_l", "clip_g", "t5xxl"
MOST_BYTES = 64 << 20  # a hundred times the largest embedding: a whole model is refused before it is read
READS = "photowords, A1111 (A, B), emb_params (C), one token (D), emp_params (E), clip_l, clip_g, t5xxl (F)"
KEYS = {
    "emb_params": ("C", CLIP_L),
    "emp_params": ("E", CLIP_L),
    "clip_l": ("F", CLIP_L),
    "clip_g": ("F", CLIP_G),
    "t5xxl": ("F", T5),
}


def read(path: Path | str, name: str | None = None) -> Concept:
    """Read a concept from an embedding's file, or from a run's folder.

    Args:
        path: a file of any form in ``READS``, safetensors or pickle; or a folder with ``concept.safetensors``.
        name: what prompts will call it; by default what the file says, or else the file's own name.

    Returns:
        The concept, float32 on the CPU. A foreign file's words are "", and its provenance is its form and name.

    Raises:
        UserError: missing, empty, damaged, not an embedding, or a pickle that would run code.
    """
    path = Path(path)
    try:
        if path.is_dir():
            path /= "concept.safetensors"
            if not path.exists():
                raise UserError(f"{path.parent} has no concept.safetensors; give a finished run's folder or a file")
        if not path.exists():
            raise UserError(f"{path} does not exist; give an embedding's file or a run's folder")
        size = path.stat().st_size
        if size == 0:
            raise UserError(f"{path} is empty (0 bytes); copy it again")
        if size > MOST_BYTES:
            raise _stranger(path)
        entries, metadata = _load(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if not entries:
        raise _stranger(path)
    if metadata.get("format", "").startswith("photowords/"):
        return _read_ours(path, entries, metadata, name)
    form, token, tables = _recognise(path, entries)
    rows = {encoder: _rows(path, table) for encoder, table in tables.items()}
    name = name or _usable(token) or _usable(path.stem) or "concept"
    return Concept(name, _unnamed_words(rows), {"source_format": form, "source_file": path.name})


def _load(path: Path) -> tuple[Mapping[str, Any], dict[str, str]]:
    """A file's entries and, of safetensors, its metadata."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":  # safetensors: eight bytes of length, then JSON
        try:
            with safe_open(path, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
        except SafetensorError as error:
            raise UserError(f"{path} is a damaged or cut-off safetensors file; copy it again") from error
    if not start.startswith((b"PK\x03\x04", b"\x80")):  # torch's zip, and its older bare pickle
        raise _stranger(path)
    try:
        # Old A1111 and rinongal files keep their table in a ParameterDict, which holds tensors and runs nothing.
        with torch.serialization.safe_globals([ParameterDict, Parameter]):
            # Bytes, not the path: torch would choose how to read by its extension.
            entries = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused because opening this pickle would run code from it; convert it to safetensors first"
        ) from error
    # A damaged file fails as its bytes lead the unpickler to: RuntimeError, struct.error, KeyError, EOFError.
    except Exception as error:
        raise UserError(f"{path} is a damaged or cut-off torch file; copy it again") from error
    if not isinstance(entries, Mapping) or not all(isinstance(key, str) for key in entries):
        raise _stranger(path)
    return entries, {}


def _recognise(path: Path, entries: Mapping[str, Any]) -> tuple[str, str, dict[str, Tensor]]:
    """A foreign file's form, its token or name ("" for none), and its table for each encoder."""
    if "string_to_param" in entries:
        # A ParameterDict of before torch 1.12 has no list of keys, so its items() fails; its parameters are there.
        tables = getattr(entries["string_to_param"], "_parameters", entries["string_to_param"])
        if not isinstance(tables, Mapping) or not tables:
            raise _stranger(path)
        if len(tables) > 1:
            raise UserError(f"{path} holds {len(tables)} embeddings; export the one you want to its own file")
        (token, table), title = next(iter(tables.items())), entries.get("name")
        return ("A", title, {CLIP_L: table}) if isinstance(title, str) else ("B", str(token), {CLIP_L: table})
    # OneTrainer's "_out" tables are added after the text encoder; nobody else reads them.
    found = {key: value for key, value in entries.items() if not key.endswith("_out")} or dict(entries)
    forms = {KEYS[key][0] if key in KEYS else "" for key in found}
    if len(forms) == 1 and forms != {""}:
        return forms.pop(), "", {KEYS[key][1]: found[key] for key in KEYS if key in found}
    if len(found) == 1:
        token, table = next(iter(found.items()))
        return "D", token, {CLIP_L: table}
    raise _stranger(path)


def _read_ours(path: Path, entries: Mapping[str, Any], metadata: dict[str, str], name: str | None) -> Concept:
    if (form := metadata["format"]) not in (OURS, OURS_BEFORE):
        raise UserError(f"{path} is of the form {form}, newer than {OURS}; upgrade photowords")
    rows = {encoder: _rows(path, table) for encoder, table in entries.items()}
    try:
        provenance = dict(json.loads(metadata["provenance"]))
        if form == OURS:
            notes = json.loads(metadata["words"])
        else:
            notes, rows = _notes_before(json.loads(metadata["placeholders"]), provenance), _names_before(rows)
        order = [*notes[0]["tokens"]] if notes else [*rows]  # safetensors sorts its entries
        sizes = {encoder: [int(note["tokens"][encoder]) for note in notes] for encoder in order}
        rows = {encoder: rows[encoder] for encoder in order}
        told = [(str(note["text"]), bool(note["trainable"])) for note in notes]
        name = name or metadata["name"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} has a damaged photowords header; copy it again") from error
    for encoder, table in rows.items():
        if sum(sizes[encoder]) != len(table) or min(sizes[encoder], default=0) < 0:
            raise UserError(
                f"{path} names {sum(sizes[encoder])} tokens for {len(table)} vectors of {encoder}; copy it again"
            )
    split = {encoder: table.split(sizes[encoder]) for encoder, table in rows.items()}
    words = tuple(
        Word(text, {encoder: parts[place] for encoder, parts in split.items()}, trainable)
        for place, (text, trainable) in enumerate(told)
    )
    return Concept(name, words, provenance)


def _notes_before(placeholders: list[dict[str, Any]], provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """The words of a file of version 1, which had one encoder and a placeholder a token; the provenance names each
    word with its first and last placeholder."""
    spans = provenance.pop("words", None) or [[p["word"], i, i] for i, p in enumerate(placeholders)]
    return [
        {"text": text, "trainable": placeholders[first]["learned"], "tokens": {CLIP_L: last - first + 1}}
        for text, first, last in spans
    ]


def _names_before(rows: dict[str, Tensor]) -> dict[str, Tensor]:
    return {CLIP_L: rows["text_encoder"]}


def _unnamed_words(rows: Mapping[str, Tensor]) -> tuple[Word, ...]:
    """What a file without words holds: a word a vector, or, where the encoders have different numbers, one word."""
    if len({len(table) for table in rows.values()}) > 1:
        return (Word("", rows),)
    count = len(next(iter(rows.values())))
    return tuple(Word("", {encoder: table[i : i + 1] for encoder, table in rows.items()}) for i in range(count))


def _rows(path: Path, table: Any) -> Tensor:
    """A table as (n, width) float32, n and width at least 1; 1-D is one vector."""
    if not isinstance(table, Tensor) or not table.is_floating_point():
        raise _stranger(path)
    if table.ndim not in (1, 2) or table.numel() == 0:
        raise UserError(f"{path} has a tensor of shape {tuple(table.shape)}, but an embedding's is (vectors, width)")
    rows = table.detach().to(torch.float32).reshape(-1, table.shape[-1])
    if not rows.isfinite().all():
        raise UserError(f"{path} has values that are not finite (NaN or infinity); train it again")
    return rows


def _stranger(path: Path) -> UserError:
    return UserError(f"{path} is not an embedding of a form that is understood: {READS}")


def _usable(text: str) -> str:
    """What of a token or a file's name can be called in a prompt: ``<mug>`` -> mug; "" for nothing."""
    text = text.strip("<>* ")
    if NAME.fullmatch(text):
        return text
    text = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")
    return (text if text[:1].isalpha() or not text else f"concept-{text}")[:64]
