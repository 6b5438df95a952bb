"""Reading every embedding file: what it is, is decided by its content, never by its extension."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from photowords import follow
from photowords.concept import Concept, Word
from photowords.errors import PhotowordsWarning, UserError
from photowords.formats import header
from photowords.formats.containers import MOST_BYTES, NoEmbedding, load
from photowords.formats.families import BERT, CLIP_G, CLIP_L, T5
from photowords.formats.names import usable

READS = (
    "photowords, A1111 (A, also as a picture), the original code (B), emb_params (C), one token (D), emp_params (E), "
    "a table for each of several text encoders (F)"
)
KEYS = {
    "emb_params": ("C", CLIP_L),
    "emp_params": ("E", CLIP_L),
    # ComfyUI's names, OneTrainer's t5, and those of diffusers' parts and of its training scripts.
    "clip_l": ("F", CLIP_L),
    "text_encoder": ("F", CLIP_L),
    "text_encoders_0": ("F", CLIP_L),
    "clip_g": ("F", CLIP_G),
    "text_encoder_2": ("F", CLIP_G),
    "text_encoders_1": ("F", CLIP_G),
    "t5xxl": ("F", T5),
    "t5": ("F", T5),
    "text_encoder_3": ("F", T5),
    "bert": ("F", BERT),
}
T5_WIDTH, BERT_WIDTH = 4096, 1280
_ONE_TOKEN = {1280: CLIP_G, T5_WIDTH: T5}
"""Width -> whose a table is that only its token names; CLIP-L's otherwise."""
SECOND = "_2"
MOST_VECTORS = 4096  # eight times the longest prompt of any model
LARGE = 1e4  # a hundred times the largest number in T5's table, and near what half precision holds


def read(path: Path | str, name: str | None = None) -> Concept:
    """Read a concept from an embedding's file, or from a run's folder.

    Args:
        path: a file of any form in ``READS``; or a folder with ``concept.safetensors``.
        name: what prompts will call it; by default what the file says, or else the file's own name.

    Returns:
        The concept, float32 on the CPU. Words of a file that does not say them are "", and its provenance is then the
        file's form and name.

    Raises:
        UserError: missing, empty, damaged, not an embedding, or a pickle that would run code.
    """
    concept = parse(path, name)
    largest = max(concept.vectors(encoder).abs().max().item() for encoder in concept.encoders)
    if largest > LARGE:
        warnings.warn(
            f"{path} has values as large as {largest:.1g}, which no word has; the pictures may be black",
            PhotowordsWarning,
            stacklevel=2,
        )
    return concept


def parse(path: Path | str, name: str | None = None) -> Concept:
    """As ``read``, without its warning of large values."""
    path = Path(path)
    try:
        if path.is_dir():
            path /= follow.CONCEPT
            if not path.exists():
                raise UserError(f"{path.parent} has no {follow.CONCEPT}; give a finished run's folder or a file")
        if not path.exists():
            raise UserError(f"{path} does not exist; give an embedding's file or a run's folder")
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes); copy it again")
        entries, metadata = load(path)
    except NoEmbedding:
        raise _stranger(path) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        told = header.hear(metadata)
    except NotImplementedError as newer:
        raise UserError(f"{path} is of the form {newer}, newer than {header.OURS}; upgrade photowords") from None
    except ValueError as error:
        raise UserError(f"{path} has a damaged photowords header; copy it again") from error
    form, token, tables = _recognise(path, entries)
    if form == "D" and told is None:
        tables = _with_other_half(path, token, tables)
    rows = {encoder: _rows(path, table) for encoder, table in tables.items()}
    if told is not None:
        words = _told_words(path, told, rows)
        return Concept(name or told.name, words, told.provenance)
    return Concept(
        name or usable(token) or usable(path.stem) or _unnamed(path),
        _unnamed_words(rows),
        {"source_format": form, "source_file": path.name},
    )


def _recognise(path: Path, entries: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """A file's form, its token or name ("" for none), and its table for each text encoder."""
    if "string_to_param" in entries:
        # A ParameterDict of before torch 1.12 has no list of keys, so its items() fails; its parameters are there.
        tables = getattr(entries["string_to_param"], "_parameters", entries["string_to_param"])
        if not isinstance(tables, Mapping) or not tables:
            raise _stranger(path)
        if len(tables) > 1:
            raise UserError(f"{path} holds {len(tables)} embeddings; export the one you want to its own file")
        (token, table), title = next(iter(tables.items())), entries.get("name")
        encoder = BERT if getattr(table, "shape", ())[-1:] == (BERT_WIDTH,) else CLIP_L  # LDM's, by the original code
        return ("A", title, {encoder: table}) if isinstance(title, str) else ("B", str(token), {encoder: table})
    if any(key.endswith("_out") and key.removesuffix("_out") in KEYS for key in entries):
        # OneTrainer writes zeros as the vectors of such a file.
        raise UserError(
            f"{path} is an output embedding of OneTrainer, which is added behind the text encoder and stands for no "
            "word; train it there again with 'output embedding' switched off"
        )
    known = {key: KEYS[key] for key in entries if key in KEYS}
    if known and len(known) == len(entries) and len({form for form, _ in known.values()}) == 1:
        found = {_encoder(key, entries[key]): entries[key] for key in KEYS if key in entries}
        if len(found) == len(known):
            return next(iter(known.values()))[0], "", found
    if len(entries) == 1:
        token, table = next(iter(entries.items()))
        return "D", token, {_ONE_TOKEN.get(getattr(table, "shape", (0,))[-1], CLIP_L): table}
    raise _stranger(path)


def _with_other_half(path: Path, token: str, tables: dict[str, Any]) -> dict[str, Any]:
    """The tables of both files of a pair, where one is given and the other lies beside it: diffusers' script for SDXL
    writes learned_embeds.safetensors of the first text encoder and learned_embeds_2.safetensors of the second."""
    (encoder,) = tables
    name, steps, count = path.stem.partition("-steps-")  # of what the script saves on its way
    name = name.removesuffix(SECOND) if encoder == CLIP_G else f"{name}{SECOND}"
    other = path.with_stem(f"{name}{steps}{count}")
    if encoder == T5 or other == path or not other.is_file():
        return tables
    with suppress(NoEmbedding, UserError, OSError):
        form, also, found = _recognise(other, load(other)[0])
        both = {**tables, **found}
        if form == "D" and also == token and {*both} == {CLIP_L, CLIP_G}:
            return {name: both[name] for name in (CLIP_L, CLIP_G)}
    return tables


def _encoder(key: str, table: Any) -> str:
    """The text encoder of a key; FLUX's pipeline calls T5 its second one."""
    wide = isinstance(table, Tensor) and table.shape[-1:] == (T5_WIDTH,)
    return T5 if key.startswith("text_encoder") and wide else KEYS[key][1]


def _told_words(path: Path, told: header.Told, rows: Mapping[str, Tensor]) -> tuple[Word, ...]:
    """The words that a file names, with their vectors."""
    encoders = [*told.words[0][2]] if told.words else [*rows]
    if set(encoders) != set(rows):
        raise UserError(f"{path} has a damaged photowords header; copy it again")
    sizes = {encoder: [tokens[encoder] for *_, tokens in told.words] for encoder in encoders}
    for encoder, table in rows.items():
        if (count := sum(sizes[encoder])) != len(table):
            raise UserError(f"{path} names {count} tokens for {len(table)} vectors of {encoder}; copy it again")
    split = {encoder: rows[encoder].split(sizes[encoder]) for encoder in encoders}
    return tuple(
        Word(text, {encoder: split[encoder][place] for encoder in encoders}, trainable)
        for place, (text, trainable, _) in enumerate(told.words)
    )


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
    if table.layout is not torch.strided or table.device.type != "cpu":
        raise _stranger(path)
    if table.ndim not in (1, 2) or table.numel() == 0:
        raise UserError(f"{path} has a tensor of shape {tuple(table.shape)}, but an embedding's is (vectors, width)")
    # One stored number may stand for a whole table.
    if table.numel() * 4 > MOST_BYTES or (table.ndim == 2 and len(table) > MOST_VECTORS):
        raise UserError(f"{path} has a tensor of shape {tuple(table.shape)}, far more than an embedding holds")
    rows = table.detach().to(torch.float32).reshape(-1, table.shape[-1])
    if not rows.isfinite().all():
        raise UserError(f"{path} has values that are not finite (NaN or infinity); train it again")
    return rows


def _unnamed(path: Path) -> str:
    warnings.warn(
        f"{path.name} has no letter that a prompt's names may have, so it is called {{concept}}; read it under a "
        "name of your own, on the command line as NAME=FILE",
        PhotowordsWarning,
        stacklevel=3,
    )
    return "concept"


def _stranger(path: Path) -> UserError:
    return UserError(f"{path} is not an embedding of a form that is understood: {READS}")
