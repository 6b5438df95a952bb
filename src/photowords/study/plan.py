"""A study's TOML file, read and checked."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photowords import fields, recipes, starts
from photowords.errors import UserError
from photowords.settings import SCORERS, InvertSettings, parse_seeds
from photowords.starts import STARTS, Start
from photowords.study import checks, sources, tables
from photowords.study.sources import ConceptSource
from photowords.study.tables import Table

STEPS = ("evaluate_at", "score_at", "pictures_at")
PROMPTS = ("prompts", "edits", "picture_prompts")
TOP = (
    *("name", "question", "model", "concepts", "segmenter", "seeds", "metrics", "samples", *SCORERS),
    *(*PROMPTS, *STEPS, "settings", "arms", "report"),
)
OWN = ("seed", "other", "evaluate_at")  # what the study says itself
OPTIONS = {name for start in STARTS.values() for name in fields.fields(start)} - set(OWN)
"""What an arm may tell its start."""
SETTINGS = tuple(name for name in fields.fields(InvertSettings) if name not in OWN)


@dataclass(frozen=True)
class Arm:
    """One way to start and train.

    Attributes:
        name, label: unique, and how figures call it.
        start: what the file says of every concept's start; the words and the class may be each concept's own.
        settings: of the inversion, its ``evaluate_at`` included; the seed is the trial's.
        score_at, pictures_at: steps at which pictures are scored, and kept.
    """

    name: str
    label: str
    start: Start
    settings: InvertSettings
    score_at: tuple[int, ...]
    pictures_at: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """What the file says, checked.

    Attributes:
        segmenter: folder or hub name of what answers clicks; None is the graph cut.
        scorers: of ``SCORERS``, those that are not the model's own.
        samples: pictures of each prompt that is scored.
        prompts, edits: what metrics sample, with ``{}`` for the concept; none are the protocol's own for what is
            learned.
        picture_prompts: whose pictures are kept; none is the first template.
        report: the [[report]] tables.
    """

    name: str
    question: str
    model: str
    concepts: tuple[ConceptSource, ...]
    segmenter: str | None
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    scorers: Mapping[str, str]
    samples: int
    prompts: tuple[str, ...]
    edits: tuple[str, ...]
    picture_prompts: tuple[str, ...]
    arms: tuple[Arm, ...]
    report: tuple[Table, ...]


def read(file: Path) -> Study:
    """The study of a TOML file. Raises UserError, one sentence with the file's name, for whatever is wrong in it."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; give the path of a study's TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        told = "it is no text" if isinstance(error, UnicodeDecodeError) else error
        raise UserError(f"{file} is not a TOML file: {told}") from error
    with tables.within(str(file)):
        return _study(table, file.parent)


def _study(table: Table, folder: Path) -> Study:
    tables.only(table, TOP, "the study")
    name = tables.get(table, "name", str, None, "the study")
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UserError(f"the study's name {name!r} may hold only small letters, digits and '-'")
    metrics = tables.listed(table, "metrics", str, "the study") or []
    study = Study(
        name=name,
        question=tables.get(table, "question", str, "", "the study"),
        model=tables.get(table, "model", str, "auto", "the study"),
        concepts=tuple(sources.read(table.get("concepts", "bank"), folder)),
        segmenter=tables.get(table, "segmenter", str, "", "the study") or None,
        seeds=tuple(_seeds(table.get("seeds", [0]))),
        metrics=tuple(metrics),
        scorers={key: tables.get(table, key, str, None, "the study") for key in SCORERS if key in table},
        samples=tables.get(table, "samples", int, 4, "the study"),
        **{key: tuple(_prompts(table, key)) for key in PROMPTS},
        arms=tuple(_arms(table, bool(metrics))),
        report=tuple(tables.listed(table, "report", dict, "the study") or []),
    )
    if study.samples < 1:
        raise UserError(f"samples is {study.samples}, but it must be at least 1")
    tables.unlike("concepts", [concept.name for concept in study.concepts])
    tables.unlike("arms", [arm.name for arm in study.arms])
    tables.unlike("seeds", list(study.seeds))
    tables.unlike("metrics", metrics)
    if metrics and table.get("score_at") == []:
        raise UserError("score_at is empty, but the study has metrics; name steps there, or take it out")
    checks.check(study)
    return study


def _arms(table: Table, scored: bool) -> list[Arm]:
    steps = {at: tables.listed(table, at, int, "the study") for at in STEPS}
    own = tables.get(table, "settings", dict, {}, "the study")
    tables.only(own, ("recipe", *SETTINGS), "[settings]")
    with tables.within("[settings]"):
        fields.make(InvertSettings, _settings(own))
    arms = [_arm(arm, own, steps, scored) for arm in tables.listed(table, "arms", dict, "the study") or []]
    if not arms:
        raise UserError("the study has no arm; add at least one [[arms]] with a name and an init")
    longest = max(arm.settings.steps for arm in arms)
    for at, given in steps.items():
        if given and max(given) > longest:
            raise UserError(f"{at} asks for step {max(given)}, but no arm has more than {longest} steps")
    return arms


def _prompts(table: Table, key: str) -> list[str]:
    prompts = tables.listed(table, key, str, "the study") or []
    for prompt in prompts:
        if prompt.count("{}") != 1 or {"{", "}"} & {*prompt.replace("{}", "")}:
            raise UserError(f"{key} has {prompt!r}, which must have one {{}}, for the concept, and no other brace")
    tables.unlike(key, prompts)
    return prompts


def _arm(table: Table, shared: Table, steps: Mapping[str, list[int] | None], scored: bool) -> Arm:
    name = tables.get(table, "name", str, None, "an arm")
    where = f"arm {name}"
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UserError(f"the arm's name {name!r} may hold only small letters, digits and '-'")
    tables.only(table, ("name", "init", "label", *sorted(OPTIONS), "recipe", *SETTINGS), where)
    init = tables.get(table, "init", str, None, where)
    with tables.within(where):
        start = starts.make(init, {key: table[key] for key in table if key in OPTIONS})
        # An arm's recipe takes the place of the one that all share.
        common = {key: shared[key] for key in shared if key in SETTINGS} if "recipe" in table else _settings(shared)
        settings = fields.make(InvertSettings, {**common, **_settings(table)})
    last = settings.steps
    given = steps["evaluate_at"]
    if given is not None and "evaluate_every" in {**common, **_settings(table)}:
        raise UserError(f"{where} has evaluate_every, but evaluate_at says the steps already; keep one")
    evaluated = list(range(0, last + 1, settings.evaluate_every)) if given is None else given
    evaluated = sorted({0, last, *(step for step in evaluated if step <= last)})

    def within(at: str, default: list[int], of: Sequence[int], whole: str) -> tuple[int, ...]:
        given = steps[at]
        if given is None:
            return tuple(default)
        if missing := [step for step in given if step <= last and step not in of]:
            raise UserError(f"{at} has step {missing[0]}, which {whole} has not; add it there")
        reached = {step for step in given if step <= last}
        return tuple(sorted(reached if len(reached) == len(given) else {*reached, last}))  # its end, where others go on

    score_at = within("score_at", evaluated if scored else [], evaluated, "evaluate_at")
    ends = sorted({score_at[0], score_at[-1]}) if score_at else []
    pictures_at = within("pictures_at", ends, evaluated, "evaluate_at")
    settings = dataclasses.replace(settings, evaluate_at=tuple(evaluated))
    return Arm(name, tables.get(table, "label", str, name, where), start, settings, score_at, pictures_at)


def _settings(table: Table) -> dict[str, Any]:
    """The inversion's settings that a table gives: those of the ``recipe`` that it names, and its own over them."""
    named = recipes.named(tables.get(table, "recipe", str, None, "it")).settings if "recipe" in table else {}
    return {key: value for key, value in {**named, **table}.items() if key in SETTINGS}


def _seeds(value: Any) -> list[int]:
    if isinstance(value, str):
        return parse_seeds(value)
    if not (isinstance(value, list) and value and all(type(seed) is int and 0 <= seed < 2**32 for seed in value)):
        raise UserError('seeds must be a list of whole numbers, or a text like "0-2"')
    return value
