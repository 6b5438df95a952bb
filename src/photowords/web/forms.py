"""The page's forms, from what the settings' fields say of themselves, and what the page may ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from photowords import fields, images, jobs, starts
from photowords.errors import UserError
from photowords.fields import Field
from photowords.settings import GenerateSettings, InvertSettings
from photowords.web.answers import Refused

KINDS = {bool: "bool", int: "int", float: "float", str: "text"}
LABELS = {"lr": "learning rate", "true_cfg_scale": "true CFG scale"}
"""Where a field's name is no word."""
STARTS = ("caption", "class", "words", "star", "multi-star", "shuffled", "random-words")
"""What the page offers: not what needs another picture, nor what no chip could show: vectors without words, and a word
that is cut off."""
OFFERED = ("words", "drop", "freeze", "keep_article", "budget", "candidates", "seed", "labels", "class_name")
"""Options of starts. Those that name a model or an address would let the page open any file and any network address."""
NOT_OFFERED = ("batch",)
"""Options of ``GenerateSettings`` and the like that only concern this machine."""
LIMITS = {
    "bytes": 32_000_000,  # of a photo's file
    "pixels": images.MOST_PIXELS,
    "photos": 16,
    "clicks": 200,
    "words": 64,
    "text": 300,  # characters of a word, or of an option
    "prompt": 2000,  # characters
    "pieces": 64,
    "seeds": 64,
    "samples": jobs.SAMPLES,
}
MOST = {"steps": 100_000, "batch": 256, "held_out": 10_000, "num_vectors": 64, "budget": 70, "candidates": 50}
"""What a page may ask of this machine's memory and time, beside the settings' own bounds."""


def offered(cls: type) -> dict[str, Field]:
    """The fields of a settings class that the page may set."""
    found = fields.fields(cls)
    if issubclass(cls, starts.Start):
        return {name: field for name, field in found.items() if name in OFFERED}
    return {name: field for name, field in found.items() if cls is InvertSettings or name not in NOT_OFFERED}


def described(cls: type) -> list[dict[str, Any]]:
    """The fields of a settings class as plain JSON values, for a form."""
    return [_described(field) for field in offered(cls).values()]


def _described(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": LABELS.get(field.name, field.name.replace("_", " ")),
        "kind": "choice" if field.choices else "text" if field.prefix else KINDS[field.kind],
        "many": field.many,
        "choices": list(field.choices),
        "default": list(field.default) if isinstance(field.default, tuple) else field.default,
        "unset": field.unset,
        "min": field.least,
        "above": field.above,
        "max": _bounded(field).most,
        "help": field.help,
        "metavar": field.metavar,
    }


def forms() -> dict[str, Any]:
    """All forms."""
    return {
        "invert": described(InvertSettings),
        "generate": described(GenerateSettings),
        "starts": {init: described(starts.of(init)) for init in STARTS},
    }


def given(cls: type, told: object) -> dict[str, Any]:
    """What the page told of a settings class, checked by the class itself. Raises UserError for what cannot be."""
    if not isinstance(told, Mapping):
        raise Refused("the settings are no JSON object", field="settings")
    found = {name: _plain(cls, name, value) for name, value in told.items() if value is not None}
    if unknown := sorted(set(found) - set(offered(cls))):
        raise Refused(f"{unknown[0]!r} is not offered here", field=str(unknown[0]))
    for name, value in found.items():
        _check_size(offered(cls)[name], value)
    fields.make(cls, found)
    return found


def _plain(cls: type, name: object, value: object) -> object:
    """A number that was typed where a text may stand as well."""
    field = offered(cls).get(str(name))
    if field is not None and field.prefix and isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value


def start(told: object) -> tuple[str, dict[str, Any]]:
    """The kind of a start that the page asked for, and its options. Raises UserError for one that cannot be."""
    if not isinstance(told, Mapping) or told.get("kind") not in STARTS:
        raise Refused(f"the start must be one of {', '.join(STARTS)}", field="start")
    kind = str(told["kind"])
    options = {name: value for name, value in told.items() if name != "kind"}
    return kind, given(starts.of(kind), options)


def _bounded(field: Field) -> Field:
    """A field with what the page may ask for at most."""
    most = [most for most in (field.most, MOST.get(field.name)) if most is not None]
    return dataclasses.replace(field, most=min(most, default=None))


def _check_size(field: Field, value: object) -> None:
    name, bounded = field.name, _bounded(field)
    values: Iterable[object] = value if isinstance(value, list) else [value]
    if isinstance(value, list) and len(value) > LIMITS["clicks"]:
        raise Refused(f"{name} has more than {LIMITS['clicks']} values", field=name)
    for one in values:
        if isinstance(one, str) and len(one) > LIMITS["text"]:
            raise Refused(f"{name} is longer than {LIMITS['text']} characters", field=name)
        if name in MOST and isinstance(one, int) and not (bounded.least or 0) <= one <= MOST[name]:
            raise UserError(f"`{name}` is {one}, but it must be {bounded.wanted}")


def kinds() -> list[dict[str, str]]:
    """The starts that the page offers."""
    return [{"init": init, "help": " ".join((starts.of(init).__doc__ or "").split())} for init in STARTS]
