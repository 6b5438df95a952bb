"""A study's TOML file, read and checked."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photowords import fields, pocket, starts
from photowords.concept import NAME
from photowords.errors import UserError, spelled
from photowords.report import blocks
from photowords.settings import InvertSettings, parse_seeds
from photowords.starts import STARTS, Classified, Start, Words

Table = Mapping[str, Any]

STEPS = ("evaluate_at", "score_at", "pictures_at")
TOP = ("name", "question", "model", "concepts", "seeds", "metrics", "samples", *STEPS, "settings", "arms", "report")
CONCEPT = ("name", "photo", "class", "words", "truth")
OWN = ("seed", "other", "evaluate_at", "background_weight")  # what the study says itself, or of no use without a mask
OPTIONS = {name for start in STARTS.values() for name in fields.fields(start)} - set(OWN)
"""What an arm may tell its start."""
SETTINGS = tuple(name for name in fields.fields(InvertSettings) if name not in OWN)

CALLED = {**fields.CALLED, list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Subject:
    """One thing that is learned, in every arm and for every seed.

    Attributes:
        name: unique; a concept's name.
        photo: the picture to invert.
        label: its class, for starts that would ask the classifier; None asks it.
        words: what the words start says of it where the arm does not.
        truth: other true pictures of it, which training never sees; may be empty.
    """

    name: str
    photo: Path
    label: str | None = None
    words: str | None = None
    truth: tuple[Path, ...] = ()


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
    """What the file says, checked."""

    name: str
    question: str
    model: str
    subjects: tuple[Subject, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    samples: int
    arms: tuple[Arm, ...]
    report: tuple[Table, ...]


def read(file: Path) -> Study:
    """The study of a TOML file. Raises UserError, one sentence with the file's name, for whatever is wrong in it."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; give the path of a study's TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a TOML file: {error}") from error
    with _within(str(file)):
        return _study(table, file.parent)


def _study(table: Table, folder: Path) -> Study:
    _only(table, TOP, "the study")
    name = _get(table, "name", str, None, "the study")
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UserError(f"the study's name {name!r} may hold only small letters, digits and '-'")
    metrics = _list(table, "metrics", str, "the study") or []
    steps = {at: _list(table, at, int, "the study") for at in STEPS}
    shared = _get(table, "settings", dict, {}, "the study")
    _only(shared, SETTINGS, "[settings]")
    with _within("[settings]"):
        fields.make(InvertSettings, shared)
    arms = [_arm(arm, shared, steps, bool(metrics)) for arm in _list(table, "arms", dict, "the study") or []]
    if not arms:
        raise UserError("the study has no arm; add at least one [[arms]] with a name and an init")
    longest = max(arm.settings.steps for arm in arms)
    for at, given in steps.items():
        if given and max(given) > longest:
            raise UserError(f"{at} asks for step {max(given)}, but no arm has more than {longest} steps")
    samples = _get(table, "samples", int, 4, "the study")
    if samples < 1:
        raise UserError(f"samples is {samples}, but it must be at least 1")
    study = Study(
        name,
        _get(table, "question", str, "", "the study"),
        _get(table, "model", str, "pocket", "the study"),
        tuple(_subjects(table.get("concepts", "bank"), folder)),
        tuple(_seeds(table.get("seeds", [0]))),
        tuple(metrics),
        samples,
        tuple(arms),
        tuple(_list(table, "report", dict, "the study") or []),
    )
    for block in study.report:
        blocks.parse(block, [arm.name for arm in arms])
    _unlike("concepts", [subject.name for subject in study.subjects])
    _unlike("arms", [arm.name for arm in arms])
    _unlike("seeds", list(study.seeds))
    _unlike("metrics", metrics)
    for arm in arms:
        _check_start(arm, study.subjects)
    if metrics and steps["score_at"] == []:
        raise UserError("score_at is empty, but the study has metrics; name steps there, or take it out")
    blind = [subject.name for subject in study.subjects if not subject.truth]
    if blind and (seen := [name for name in metrics if name in ("psnr", "ssim")]):
        raise UserError(f"{seen[0]} compares with true views, and concept {blind[0]} has none; add truth = [...] to it")
    return study


def _arm(table: Table, shared: Table, steps: Mapping[str, list[int] | None], scored: bool) -> Arm:
    name = _get(table, "name", str, None, "an arm")
    where = f"arm {name}"
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UserError(f"the arm's name {name!r} may hold only small letters, digits and '-'")
    _only(table, ("name", "init", "label", *sorted(OPTIONS), *SETTINGS), where)
    init = _get(table, "init", str, None, where)
    with _within(where):
        start = starts.make(init, {key: table[key] for key in table if key in OPTIONS})
        settings = fields.make(InvertSettings, {**shared, **{key: table[key] for key in SETTINGS if key in table}})
    last = settings.steps
    evaluated = steps["evaluate_at"]
    if evaluated is None:
        evaluated = list(range(0, last + 1, settings.evaluate_every))
    evaluated = sorted({0, last, *(step for step in evaluated if step <= last)})

    def within(at: str, default: list[int], of: Sequence[int], whole: str) -> tuple[int, ...]:
        given = steps[at]
        if given is None:
            return tuple(default)
        if missing := [step for step in given if step <= last and step not in of]:
            raise UserError(f"{at} has step {missing[0]}, which {whole} has not; add it there")
        return tuple(sorted({step for step in given if step <= last}))

    score_at = within("score_at", evaluated if scored else [], evaluated, "evaluate_at")
    ends = sorted({score_at[0], score_at[-1]}) if score_at else []
    pictures_at = within("pictures_at", ends, score_at, "score_at")
    settings = dataclasses.replace(settings, evaluate_at=tuple(evaluated))
    return Arm(name, _get(table, "label", str, name, where), start, settings, score_at, pictures_at)


def _check_start(arm: Arm, subjects: Sequence[Subject]) -> None:
    """Raise UserError where an arm and a concept leave a start without words, or contradict each other."""
    start = arm.start
    for subject in subjects:
        if isinstance(start, Words) and not (start.words or subject.words):
            raise UserError(f"arm {arm.name} has no words for {subject.name}; add words to the arm or to the concept")
        if isinstance(start, Classified) and subject.label and (start.classifier or start.labels):
            raise UserError(
                f"arm {arm.name} asks a classifier, but concept {subject.name} says its class itself; leave out one"
            )


@contextmanager
def _within(where: str) -> Iterator[None]:
    """UserErrors from inside say where in the file they belong, and name settings as the file does: by their keys."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {spelled(str(error), str)}") from error


def _subjects(value: Any, folder: Path) -> list[Subject]:
    if value == "bank":
        value = pocket.concepts()
    if not isinstance(value, list) or not value:
        raise UserError('concepts must be "bank", or a list of concepts of the bank and photos')
    return [_subject(item, folder) for item in value]


def _subject(item: Any, folder: Path) -> Subject:
    table: Table = {"photo": item} if isinstance(item, str) else item
    if not isinstance(table, dict):
        raise UserError(f"the concept {item!r} must be a name, a photo's path or a table")
    _only(table, CONCEPT, "a concept")
    photo = _get(table, "photo", str, None, "a concept")
    name = _get(table, "name", str, Path(photo).stem, "a concept")
    where = f"concept {name}"
    if not NAME.fullmatch(name):
        raise UserError(f'concept {name!r} cannot be used as a name; write {{name = "...", photo = {photo!r}}}')
    bundled = photo in pocket.concepts()
    path = pocket.view(photo) if bundled else folder / photo
    truth = [folder / view for view in _list(table, "truth", str, where) or []]
    if bundled and not truth:
        truth = sorted(set(path.parent.glob("view_*.png")) - {path})
    for view in (path, *truth):
        if not view.is_file():
            bank = ", ".join(pocket.concepts())
            raise UserError(f"{where}: {view} does not exist, nor is it a concept of the bank ({bank})")
    texts = [_get(table, key, str, "", where) or None for key in ("class", "words")]
    return Subject(name, path, texts[0], texts[1], tuple(truth))


def _seeds(value: Any) -> list[int]:
    if isinstance(value, str):
        return parse_seeds(value)
    if not (isinstance(value, list) and value and all(type(seed) is int and 0 <= seed < 2**32 for seed in value)):
        raise UserError('seeds must be a list of whole numbers, or a text like "0-2"')
    return value


def _only(table: Table, known: Sequence[str], where: str) -> None:
    if unknown := [key for key in table if key not in known]:
        raise UserError(f"{where} has the unknown key {unknown[0]!r}; the known keys are {', '.join(known)}")


def _get(table: Table, key: str, kind: type, default: Any, where: str) -> Any:
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


def _list(table: Table, key: str, kind: type, where: str) -> list[Any] | None:
    """A list of values of one type; None where the key is absent. Steps are not negative."""
    if key not in table:
        return None
    for value in _get(table, key, list, None, where):
        if type(value) is not kind or (type(value) is int and value < 0):
            least = " of at least 0" if kind is int else ""
            raise UserError(f"{key} of {where} holds {value!r}, but each must be {CALLED[kind]}{least}")
    return list(table[key])


def _unlike(what: str, names: Sequence[Any]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{what} has {twice[0]!r} twice; each must have a name of its own")
