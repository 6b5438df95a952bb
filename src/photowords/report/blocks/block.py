"""What a [[report]] table of a study's file may say: each kind of block is a dataclass, its keys are the fields.

A field's type says what its key takes: ``MetricName`` and ``ArmName`` are names that must exist, a ``Literal`` is a
choice, a tuple is a list in TOML (a single number or choice may stand for a list of one), and None is a key that was
left out.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NewType, Self, get_args, get_origin, get_type_hints

from photowords.errors import UserError
from photowords.metrics import metric_names
from photowords.report.document import Section
from photowords.report.results import ArmLabel, Results

MetricName = NewType("MetricName", str)
"""A metric's name, or its formula's: "lpips"."""
ArmName = NewType("ArmName", str)

CALLED = {str: "a text", bool: "true or false", int: "a whole number of at least 0"}


@dataclass(frozen=True, kw_only=True)
class Block(ABC):
    """One [[report]] table.

    Attributes:
        title: the section's heading; "" is the kind's own.
        arms: which arms are shown; none named is all of them.
    """

    kind: ClassVar[str]

    title: str = ""
    arms: tuple[ArmName, ...] = ()

    @abstractmethod
    def make(self, results: Results, name: str) -> Section:
        """The section; ``name`` begins the names of its files."""

    @property
    def heading(self) -> str:
        """The title, or the kind's own."""
        return self.title or self.kind.capitalize()

    def chosen(self, results: Results) -> list[ArmLabel]:
        """The block's arms, in the study's order."""
        return [arm for arm in results.arms if not self.arms or arm.name in self.arms]

    @classmethod
    def read(cls, table: Mapping[str, Any], arms: Sequence[str]) -> Self:
        """The block of a table that has no ``kind``. Raises UserError for a key that is unknown, missing or wrong."""
        where = f"the {cls.kind} block"
        known = {f.name: f for f in dataclasses.fields(cls)}
        if unknown := [key for key in table if key not in known]:
            raise UserError(f"{where} has the unknown key {unknown[0]!r}; the known keys are {', '.join(known)}")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and not table.get(name):
                raise UserError(f"{where} has no {name}; add {name} = ...")
        hints = get_type_hints(cls)
        return cls(**{key: _read(value, hints[key], f"{key} of {where}", where, arms) for key, value in table.items()})


def _read(value: Any, kind: Any, what: str, where: str, arms: Sequence[str]) -> Any:
    """A TOML value as a field's type has it; ``what`` and ``where`` are for the sentence that says what is wrong."""
    if type(None) in get_args(kind):  # None is a key that was left out, and nothing that TOML can say
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        one_alone = (type(value) is int and item is int) or (isinstance(value, str) and get_origin(item) is Literal)
        listed = [value] if one_alone else value
        if not isinstance(listed, list) or not all(isinstance(one, int if item is int else str) for one in listed):
            raise UserError(f"{what} is {value!r}, but it must be a list of {'steps' if item is int else 'names'}")
        return tuple(_read(one, item, what, where, arms) for one in listed)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UserError(f"{what} is {value!r}; choose from {', '.join(get_args(kind))}")
        return value
    plain = getattr(kind, "__supertype__", kind)
    if type(value) is not plain or (plain is int and value < 0):
        raise UserError(f"{what} is {value!r}, but it must be {CALLED[plain]}")
    if kind is ArmName and value not in arms:
        raise UserError(f"{where} names the arm {value!r}, which the study has not; its arms are {', '.join(arms)}")
    if kind is MetricName and value not in metric_names():
        names = ", ".join(metric_names())
        raise UserError(f"{where} names the metric {value!r}, which does not exist; choose from {names}")
    return value
