"""What the readers say of each photo (Table A.1 of the paper), and pictures side by side (its Figure A.2)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from photowords.errors import UserError
from photowords.report import pictures
from photowords.report.blocks.block import Block
from photowords.report.document import Drawing, Part, Photo, Record, Section, Table, Text
from photowords.report.results import Results, TrialResult
from photowords.report.wording import limits

Axis = Literal["concept", "arm", "step", "seed", "prompt"]
AXES: tuple[Axis, ...] = ("concept", "arm", "step", "seed", "prompt")
Place = tuple[Any, ...]
"""A value for each of ``AXES``."""


@dataclass(frozen=True, kw_only=True)
class Gallery(Block):
    """Pictures in rows and columns, and what the readers say.

    Attributes:
        rows, columns: what differs from row to row and from column to column. Whatever else has several values is
            added to the rows.
        concepts, step, seeds, prompts: which are shown; by default all concepts, the last step that has pictures,
            each arm's first finished seed, and its first prompt.
        said: whether the table of classes and captions is shown.
    """

    kind: ClassVar[str] = "gallery"

    rows: tuple[Axis, ...] = ("concept",)
    columns: tuple[Axis, ...] = ("arm",)
    concepts: tuple[str, ...] = ()
    step: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    prompts: tuple[str, ...] = ()
    said: bool = True

    def __post_init__(self) -> None:
        if both := [axis for axis in self.rows if axis in self.columns]:
            raise UserError(f"the gallery block has {both[0]} in its rows and in its columns; keep one of them")

    def make(self, results: Results, name: str) -> Section:
        concepts = [c for c in results.concepts if not self.concepts or c in self.concepts]
        shown = [c for c in concepts if (results.folder / f"photos/{c}.png").is_file() and results.of_concept(c)]
        if not shown:
            return Section(self.heading, [Text("No finished trial has kept its photo yet.")])
        parts: list[Part] = []
        data: dict[str, Sequence[Record]] = {}
        if self.said:
            table, data[name] = _said(results, shown, name)
            parts.append(table)
        files = self._files(results, shown)
        if files:
            drawn = f"{name}-pictures"
            parts.append(self._drawing(results, files, drawn))
            names = {arm.label: arm.name for arm in results.arms}
            data[drawn] = [
                {**dict(zip(AXES, place, strict=True)), "arm": names[place[1]], **record}
                for place, record in files.items()
            ]
        else:
            after = f" after step {', '.join(map(str, self.step))}" if self.step else ""
            parts.append(Text(f"No finished trial has kept pictures{after}."))
        parts.append(limits("a few pictures of each concept are an impression, not a measurement"))
        return Section(self.heading, parts, data)

    def _files(self, results: Results, concepts: Sequence[str]) -> dict[Place, Record]:
        """The strips to show that are there: where each belongs -> its file and trial."""
        kept = results.kept_pictures()
        found: dict[Place, Record] = {}
        for concept, arm in itertools.product(concepts, self.chosen(results)):
            trials = [trial for trial in results.of_concept(concept) if trial.arm == arm.name]
            # Without seeds asked for, each arm shows its first finished one; without prompts, its own first.
            some = [trial for trial in trials if trial.seed in self.seeds] if self.seeds else trials[:1]
            ids = {trial.id for trial in trials}
            steps = self.step or tuple(sorted({step for id_, step, _ in kept if id_ in ids})[-1:])
            for trial, step in itertools.product(some, steps):
                for prompt in self.prompts or trial.picture_prompts[:1]:
                    if file := kept.get((trial.id, step, prompt)):
                        said = prompt if self.prompts else None
                        place = (concept, arm.label, step, trial.seed if self.seeds else None, said)
                        found[place] = {"file": file, "ids": trial.id}
        return found

    def _drawing(self, results: Results, files: Mapping[Place, Record], name: str) -> Drawing:
        several = [axis for i, axis in enumerate(AXES) if len({place[i] for place in files}) > 1]
        rest = [axis for axis in several if axis not in (*self.rows, *self.columns)]
        rows = _levels(files, [*self.rows, *rest], several)
        columns = _levels(files, self.columns, several)
        one = dict(zip(AXES, next(iter(files)), strict=True))
        fixed = [f"{axis} {one[axis]}" for axis in AXES if axis not in several and one[axis] is not None]
        caption = (
            f"Pictures ({', '.join(fixed)}): " if fixed else "Pictures: "
        ) + f"a row for each {' and '.join([*self.rows, *rest])}, a column for each {' and '.join(self.columns)}. "
        caption += "In each place the first samples, as many as fit, none chosen"
        caption += "." if self.seeds else "; of several seeds the first that is finished."
        return Drawing(name, caption, partial(self._draw, results, files, rows, columns), name, photos=True)

    def _draw(
        self,
        results: Results,
        files: Mapping[Place, Record],
        rows: Mapping[Place, str],
        columns: Mapping[Place, str],
    ) -> Any:
        from photowords import images

        def load(file: str) -> Any:
            return images.load_photo(results.folder / file)

        drawn, photo_of = [], ""
        for row, label in rows.items():
            within = {place: record["file"] for place, record in files.items() if _fits(place, row)}
            found = [next((file for place, file in within.items() if _fits(place, column)), None) for column in columns]
            concept = next(iter(within))[0]
            photo = load(f"photos/{concept}.png") if concept != photo_of else None  # once for rows of one concept
            photo_of = concept
            drawn.append(pictures.Row(label, photo, [load(file) if file else None for file in found]))
        return pictures.gallery(drawn, list(columns.values()))


def _levels(files: Mapping[Place, Record], axes: Sequence[Axis], several: Sequence[Axis]) -> dict[Place, str]:
    """The different values that some axes have, None for all other axes, each with a label: of what varies alone."""
    levels: dict[Place, str] = {}
    for place in files:
        level = tuple(value if axis in axes else None for axis, value in zip(AXES, place, strict=True))
        named = {axis: _named(axis, value) for axis, value in zip(AXES, level, strict=True) if axis in axes}
        levels.setdefault(level, ", ".join([named[axis] for axis in named if axis in several] or named.values()))
    return levels


def _named(axis: Axis, value: Any) -> str:
    return f"{axis} {value}" if axis in ("step", "seed") and value is not None else str(value or "")


def _fits(place: Place, level: Place) -> bool:
    return all(wanted is None or wanted == value for value, wanted in zip(place, level, strict=True))


def _said(results: Results, concepts: Sequence[str], name: str) -> tuple[Table, list[Record]]:
    """Table A.1: a row for each concept, of its first trials that asked the readers."""
    rows: list[Record] = []
    body: list[list[str]] = []
    sources: dict[str, tuple[str, ...]] = {}
    for concept in concepts:
        trials = results.of_concept(concept)
        named: TrialResult | None = next((trial for trial in trials if trial.label), None)
        own = (trial for trial in trials if trial.spec.get("init") != "other-caption")  # which tells another picture's
        told: TrialResult | None = next((trial for trial in own if trial.caption), None)
        label, caption = named.label if named else None, told.caption if told else None
        sources[concept] = tuple(dict.fromkeys(trial.id for trial in (named, told) if trial)) or (trials[0].id,)
        body.append([concept, Photo(f"photos/{concept}.png"), label or "–", caption or "–"])
        rows.append({"concept": concept, "class": label, "caption": caption, "ids": " ".join(sources[concept])})
    about = (
        "Each concept's photo, what the class start and what the captioner say of it; – where no finished arm asked."
    )
    return Table(about, ["concept", "picture", "class", "caption"], body, sources, name), rows
