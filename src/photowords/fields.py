"""What the fields of a settings class say of themselves: the one reader behind the command line, TOML and the pages.

A class declares each field once, ``steps: int = option(100, "optimiser steps", least=1)``, and calls ``check`` in its
``__post_init__``. Names, help, defaults, types and ranges are read from there and stand nowhere else.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from photowords.errors import UserError

T = TypeVar("T")

CALLED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
MANY = {int: "a list of whole numbers", float: "a list of numbers", str: "a list of texts"}


@dataclass(frozen=True)
class Field:
    """One field of a settings class.

    Attributes:
        name: as Python and TOML write it.
        kind: bool, int, float, str or PIL's Image; of each item where there are ``many``.
        many: a tuple of any length.
        optional: None is allowed.
        default: where it is not given.
        help: a clause for people, without a full stop.
        least, above, most: bounds of a number or of each of many; ``above`` is the one that is excluded.
        choices: the only texts allowed; empty for any.
        unset: what happens where it is None, in words.
        metavar: what stands for the value in a usage line.
        file: many texts may also be read from a text file, one a line.
        prefix: a number may also be a text, this and then the number, which means something else.
    """

    name: str
    kind: type
    many: bool
    optional: bool
    default: Any
    help: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    unset: str | None = None
    metavar: str | None = None
    file: bool = False
    prefix: str | None = None

    @property
    def wanted(self) -> str:
        """What a value must be, in words: "a whole number of at least 1"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.least is not None and self.most is not None:
            bounds = f" from {_digits(self.least)} to {_digits(self.most)}"
        elif self.least is not None:
            bounds = f" of at least {_digits(self.least)}"
        else:
            bounds = "" if self.above is None else f" above {_digits(self.above)}"
        called = (MANY if self.many else CALLED).get(self.kind, "a picture")
        other = f", or {self.prefix} and such a number" if self.prefix else ""
        return f"{called}{', each' if self.many and bounds else ''}{bounds}{other}"

    @property
    def explained(self) -> str:
        """The help with the choices and the default."""
        choices = f": {', '.join(self.choices)}" if self.choices else ""
        if self.default is None:
            default = self.unset
        elif isinstance(self.default, float):
            default = f"{self.default:g}"
        else:
            default = "" if self.default is False or self.default in ((), "") else str(self.default)
        return f"{self.help}{choices}" + (f" (default: {default})" if default else "")


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    unset: str | None = None,
    metavar: str | None = None,
    file: bool = False,
    prefix: str | None = None,
) -> Any:
    """A dataclass field that says all that ``Field`` tells of it; its type is its annotation."""
    told = {"help": help, "least": least, "above": above, "most": most, "choices": tuple(choices)}
    shown = {"unset": unset, "metavar": metavar, "file": file, "prefix": prefix}
    return dataclasses.field(default=default, metadata={**told, **shown})


def fields(cls: type) -> dict[str, Field]:
    """The fields of a settings class by name, in order."""
    hints = typing.get_type_hints(cls)
    return {f.name: _field(f, hints[f.name]) for f in dataclasses.fields(cls)}


def check(settings: Any) -> None:
    """Raise UserError for a value of the wrong type or out of range.

    A list becomes a tuple, and a whole number the float that its field wants.
    """
    for field in fields(type(settings)).values():
        value = getattr(settings, field.name)
        if value is None and field.optional:
            continue
        if field.many:
            given = tuple(value) if isinstance(value, list | tuple) else (None,)
            found: Any = tuple(_plain(field, each) for each in given)
            allowed = all(_allowed(field, each) for each in found)
        else:
            found = _plain(field, value)
            allowed = _allowed(field, found)
        if not allowed:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else repr(value)
            raise UserError(f"`{field.name}` is {shown}, but it must be {field.wanted}")
        object.__setattr__(settings, field.name, found)


def make(cls: type[T], told: Mapping[str, Any], what: str = "setting") -> T:
    """The settings of a mapping of plain values, as TOML and JSON have them.

    Raises UserError for a name that is no field of the class, and as its checks do.
    """
    known = fields(cls)
    if unknown := sorted(set(told) - set(known)):
        raise UserError(f"unknown {what} {unknown[0]!r}; the {what}s are {', '.join(known)}")
    return cls(**told)


def given(settings: Any) -> dict[str, Any]:
    """The fields that are not at their default, as plain values of JSON."""
    values = {field.name: (getattr(settings, field.name), field.default) for field in fields(type(settings)).values()}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, (value, default) in values.items()
        if value != default
    }


def _field(declared: dataclasses.Field[Any], hint: Any) -> Field:
    optional = isinstance(hint, types.UnionType)
    if optional:
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)  # float of "float | str"
    many = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if many else hint
    return Field(declared.name, kind, many, optional, declared.default, **declared.metadata)


def _digits(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _plain(field: Field, value: Any) -> Any:
    if field.kind is float and type(value) is int:
        with suppress(OverflowError):  # the bounds refuse it
            return float(value)
    return value


def _allowed(field: Field, value: Any) -> bool:
    if field.prefix and isinstance(value, str):
        try:
            value = float(value.removeprefix(field.prefix)) if value.startswith(field.prefix) else None
        except ValueError:
            return False
    if not isinstance(value, field.kind) or (isinstance(value, bool) and field.kind is not bool):
        return False
    if field.choices:
        return value in field.choices
    if not isinstance(value, int | float):
        return True
    return (
        (isinstance(value, int) or math.isfinite(value))
        and (field.least is None or value >= field.least)
        and (field.above is None or value > field.above)
        and (field.most is None or value <= field.most)
    )
