"""A job: what a run was asked for before it began. It waits in the folder that will be the run's.

job.json                what was asked for
job/0.png ...           the photos
job/0-mask.png ...      white where the object is, for the photos that have a mask
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photowords import fields, files, follow
from photowords.errors import UserError
from photowords.settings import InvertSettings

FILE, FOLDER = "job.json", "job"
FORMAT = 1
OWN = {
    *({*follow.WATCHED} - {"pictures"}),  # where pictures are asked for, which replace no others
    *(files.LOCK, FILE, FOLDER, "photos", "masks", "overlay.png", "checkpoints", "loss.png"),
    *(follow.START, follow.CONCEPT),
}
"""What in a run's folder is the run itself; nothing else may be written there."""
SAMPLES = 4
"""Pictures that a run draws at a time, at most and unless another number is asked for."""
SAMPLES_AT = ("ends", "checkpoints")
"""When a run draws pictures: before and after, or whenever the held-out loss is measured."""


@dataclass(frozen=True)
class Job:
    """What to learn, as plain JSON values.

    Attributes:
        name: the concept's.
        words: each word's text, and whether it is learned or kept as it is.
        settings: of ``InvertSettings``, those that are not at their default.
        samples: pictures to draw, 0 to ``SAMPLES``.
        samples_at: one of ``SAMPLES_AT``, see ``learning.begin``.
        selections: of each photo what ``Selection`` tells beside the mask, None for a photo without one.
        model, device, dtype: as ``backbones.load`` takes them.
        when: seconds since 1970, when it was asked for.
    """

    name: str
    words: tuple[tuple[str, bool], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: int = SAMPLES
    samples_at: str = SAMPLES_AT[0]
    selections: tuple[Mapping[str, Any] | None, ...] = (None,)
    model: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    when: float = 0.0

    @property
    def sentence(self) -> str:
        """Its words."""
        return " ".join(text for text, _ in self.words)

    def invert_settings(self) -> InvertSettings:
        """Its settings, checked."""
        return fields.make(InvertSettings, self.settings)

    def write(self, folder: Path) -> None:
        """Write job.json, after the photos: it vouches for them."""
        files.write_json(folder / FILE, {"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job of a folder. Raises UserError where there is none that can be read."""
        try:
            told = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if told.pop("format") != FORMAT:
                raise UserError(f"the job in {folder} was written by another version of photowords; ask for it again")
            words = tuple((str(text), bool(trainable)) for text, trainable in told.pop("words"))
            return cls(words=words, selections=tuple(told.pop("selections")), **told)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{folder} is not a run of photowords, nor a job that could become one") from error


def is_waiting(folder: Path) -> bool:
    """Whether a folder holds a job that is no run yet. A file of that name alone, without its photos, is another's."""
    return (folder / FILE).is_file() and photo(folder, 0).is_file() and not (folder / follow.SETTINGS).exists()


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, or a job that will be one; not one that nobody here may look into."""
    try:
        return is_waiting(folder) or ((folder / follow.SETTINGS).exists() and (folder / follow.START).exists())
    except PermissionError:  # such as a disk's lost+found
        return False


def run_with(path: Path) -> Path | None:
    """The run that would lose something if a path were written to: it is among ``OWN`` there, or in one of them."""
    place = Path(os.path.realpath(path))  # Path.resolve raises on links in a circle
    return next((up for up in place.parents if place.relative_to(up).parts[0] in OWN and is_run(up)), None)


def check_samples(count: int) -> None:
    """Raise UserError unless a run can draw so many pictures at a time."""
    if not 0 <= count <= SAMPLES:
        raise UserError(f"`samples` is {count}, but it must be from 0 to {SAMPLES}")


def photo(folder: Path, number: int) -> Path:
    """Where a job's photo lies."""
    return folder / FOLDER / f"{number}.png"


def mask(folder: Path, number: int) -> Path:
    """Where the mask of a job's photo lies."""
    return folder / FOLDER / f"{number}-mask.png"


def check_free(folder: Path, job: bool = False) -> None:
    """Raise UserError unless a new run may be made in the folder: it is absent or empty, or it is a ``job``'s that
    waits there, and is no part of another run."""
    if other := run_with(folder):
        raise UserError(f"{folder} is where the run {other} has its own; give another folder as `out`")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the run folder {folder} is a file; give a folder as `out`")
    if (folder / follow.SETTINGS).exists():
        raise UserError(f"{folder} already holds a run; `resume` it, or give another folder as `out`")
    if is_waiting(folder):
        if job:
            return
        raise UserError(f"{folder} holds a job that waits for its turn; `resume` it, or give another folder as `out`")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"the folder {folder} is not empty; give a new folder as `out`")
    files.check_replaceable(folder)
