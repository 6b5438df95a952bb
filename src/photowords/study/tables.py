"""Looking things up in a TOML table, with a sentence that says where what is wrong stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from photowords import fields
from photowords.errors import UserError, spelled

Table = Mapping[str, Any]

CALLED = {**fields.CALLED, list: "a list", dict: "a table"}


@contextmanager
def within(where: str) -> Iterator[None]:
    """UserErrors from inside say where in the file they belong, and name settings as the file does: by their keys."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {spelled(str(error), str)}") from error


def only(table: Table, known: Sequence[str], where: str) -> None:
    """Raise UserError for a key that is not known."""
    if unknown := [key for key in table if key not in known]:
        raise UserError(f"{where} has the unknown key {unknown[0]!r}; the known keys are {', '.join(known)}")


def get(table: Table, key: str, kind: type, default: Any, where: str) -> Any:
    """A value of one type; a whole number is a number too. ``default`` None means that the key is needed."""
    if key not in table:
        if default is None:
            raise UserError(f"{where} has no {key}; add {key} = ...")
        return default
    value = table[key]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{key} of {where} is {value!r}, but it must be {CALLED[kind]}")
    return value


def listed(table: Table, key: str, kind: type, where: str) -> list[Any] | None:
    """A list of values of one type; None where the key is absent. Steps are not negative."""
    if key not in table:
        return None
    for value in get(table, key, list, None, where):
        if type(value) is not kind or (type(value) is int and value < 0):
            least = " of at least 0" if kind is int else ""
            raise UserError(f"{key} of {where} holds {value!r}, but each must be {CALLED[kind]}{least}")
    return list(table[key])


def as_numbers(value: Any, key: str, count: int, where: str) -> tuple[float, ...]:
    """A list of so many numbers."""
    if not (isinstance(value, list) and len(value) == count and all(type(n) in (int, float) for n in value)):
        raise UserError(f"{key} of {where} holds {value!r}, but it must be a list of {count} numbers (pixels)")
    return tuple(float(n) for n in value)


def unlike(what: str, names: Sequence[Any]) -> None:
    """Raise UserError where a name stands twice."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{what} has {twice[0]!r} twice; name each once")
