"""Many photos, one model: a run folder of its own for each photo, several of them learned in one batch at a time."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from photowords import backbones, fields, follow, images, threads, workers
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.follow import sentence
from photowords.inversion import Lockstep, Run, Step
from photowords.learning.beginning import begin, options
from photowords.learning.course import course
from photowords.settings import InvertSettings
from photowords.starts import Start

ALL = "all"
"""What stands in the file ``stop`` of a run that is asked to stop with those that share its batch."""
SAMPLES = 16
"""Of the network's batch: on two cores it does these in little more time than a fourth of them."""


FEW = 4
"""Photos that are named in what is said of many."""


@dataclass(frozen=True)
class Task:
    """A photo, and the run folder that it shall have."""

    photo: Path
    folder: Path


@dataclass(frozen=True)
class Share:
    """What one process does at a time: tasks that are learned in one batch, all in the same way (see ``begin``).

    Attributes:
        model, device, dtype, offload: as ``backbones.load`` takes them.
        threads: of a process on the CPU.
    """

    tasks: Sequence[Task]
    init: Start
    name: str
    settings: InvertSettings
    samples: int
    samples_at: str
    model: str
    device: str
    dtype: str
    offload: str
    threads: int = 1

    def work(self) -> Ended:
        """Learn all of them in this process."""
        if self.device == "cpu":
            torch.set_num_threads(min(self.threads, torch.get_num_threads()))  # which may be fewer by the user's wish
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PhotowordsWarning)
            try:
                backbone = _backbone(self.model, self.device, self.dtype, self.offload)
                failures = together(self, backbone)
            except Exception as error:  # such as a model that does not fit beside what others have on the GPU
                failures = dict.fromkeys(self.tasks, sentence(error))
        said = [one.message for one in caught if isinstance(one.message, PhotowordsWarning)]
        of = [(one.photo, one.said) if isinstance(one, OfPhoto) else ("", str(one)) for one in said]
        return Ended(failures, tuple(dict.fromkeys(of)))

    def stop(self) -> bool:
        """Ask the runs at work through their folders, as anyone may: each keeps what it reached, no other begins."""
        begun = [task.folder for task in self.tasks if follow.state(task.folder) in ("starting", "learning")]
        for folder in begun:
            with suppress(UserError):
                follow.stop(folder, ALL)
        return bool(begun)

    @property
    def is_stopping(self) -> bool:
        """Whether ``stop`` was called, from any process, and its runs have not come to see it yet. What an earlier
        process was killed before it saw is not meant."""
        asked = [task.folder for task in self.tasks if follow.asked_to_stop(task.folder) == ALL]
        return any(follow.state(folder) == "stopping" for folder in asked)

    def lost(self, how: str) -> Ended:
        """Of those that were not done yet."""
        return Ended({task: None if follow.state(task.folder) == "done" else how for task in self.tasks})


class OfPhoto(PhotowordsWarning):
    """What is said of one photo among many."""

    def __init__(self, photo: str, said: str) -> None:
        super().__init__(f"{photo}: {said}")
        self.photo, self.said = photo, said


class Ended(NamedTuple):
    """What a process answers: why each task failed, None where it did not; and what it warned of, each with the name of
    the photo that it is of, "" where it is of none."""

    failures: Mapping[Task, str | None]
    warnings: tuple[tuple[str, str], ...] = ()


def each(
    tasks: Sequence[Task], how: Share, at_once: int | None = None, count: int | None = None, ray: str | None = None
) -> Iterator[tuple[Task, str | None]]:
    """Learn a concept of each photo; yield each task as it ends, with why it failed or None.

    What ends well leaves an ordinary run folder. Those that are done already come first, those that were begun go on.
    ``how`` says what to do with a share of the tasks, ``at_once`` how many make a batch (default: as make ``SAMPLES``
    samples), ``count`` on how many processes (default: ``workers.default``), or ``ray`` on which cluster, whose
    machines need the same folders. Raises UserError without Ray, and where no cluster answers.
    """
    todo = []
    for task in tasks:
        try:
            begun = _begun(task, how)
        except UserError as error:
            yield task, str(error)
            continue
        if begun and follow.state(task.folder) == "done":
            yield task, None
        else:
            todo.append(task)
    count = count or workers.default(how.device)
    size = min(at_once or max(1, SAMPLES // how.settings.batch), -(-len(todo) // count) or 1)
    parts = [todo[first : first + size] for first in range(0, len(todo), size)]
    device = workers.on_cluster(how.device) if ray else how.device
    # By all of the tasks: what is gone on with has the threads that it began with.
    busy = min(count, -(-len(tasks) // size))
    how = replace(how, threads=max(1, threads.cpus() // busy), device=device)
    shares = [replace(how, tasks=part) for part in parts]
    events = workers.on_ray(shares, ray) if ray else workers.on_processes(shares, count)
    said = dict[str, list[str]]()
    try:
        with closing(events):
            for event in events:
                if event.outcome is not None:
                    for photo, text in event.outcome.warnings:
                        said.setdefault(text, []).append(photo)
                    yield from event.outcome.failures.items()
    finally:  # once each, however many photos it is of
        for text, photos in said.items():
            named = [photo for photo in photos if photo]
            more = f" and {len(named) - FEW} more" if len(named) > FEW else ""
            of = f"{', '.join(named[:FEW])}{more}: " if named else ""
            warnings.warn(of + text, PhotowordsWarning, stacklevel=2)


def together(share: Share, backbone: Backbone) -> dict[Task, str | None]:
    """Learn the tasks of a share in step with each other; why each failed, None where it did not."""
    lockstep, failures = Lockstep(), dict[Task, str | None]()
    courses = {task: _course(task, share, backbone, lockstep) for task in share.tasks}
    begun, stopping = set[Task](), False
    while courses:
        for task, steps in list(courses.items()):
            try:
                stopping = stopping or share.is_stopping
                if stopping and task not in begun:
                    raise follow.Stopped("stopped before it began")
                if stopping:  # it may have begun meanwhile
                    follow.stop(task.folder, ALL)
                begun.add(task)
                if _next(steps, task) is not None:
                    continue
                failures[task] = None
            except (Exception, follow.Stopped) as error:  # whatever it is, the others go on
                failures[task] = sentence(error)
            del courses[task]
    return failures


def _next(steps: Iterator[Step], task: Task) -> Step | None:
    """A task's next step; what it warns of is said of its photo."""
    caught = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PhotowordsWarning)
            return next(steps, None)
    finally:
        for one in caught:
            if issubclass(one.category, PhotowordsWarning):
                warnings.warn(OfPhoto(task.photo.name, str(one.message)), stacklevel=2)


def _course(task: Task, share: Share, backbone: Backbone, lockstep: Lockstep) -> Iterator[Step]:
    run = _begun(task, share)
    if run is None:
        run = begin(
            backbone,
            [task.photo],
            task.folder,
            share.init,
            share.name,
            share.settings,
            share.samples,
            samples_at=share.samples_at,
        )
    with course(run, backbone, inverting=lockstep.invert) as taken:
        yield from taken


def _begun(task: Task, share: Share) -> Run | None:
    """The run of a task that was begun before. Raises UserError where it is another photo's, or learned otherwise."""
    if not (task.folder / follow.SETTINGS).exists():
        return None
    run = Run.open(task.folder)
    if run.start().provenance["photos_sha256"] != [images.sha256(task.photo)]:
        raise UserError(f"{task.folder} holds another photo's run; give another folder as `out`")
    for name, made, asked in _told(run, share):
        if made != asked:
            said = f"was begun without `{name}`" if made is None else f"was begun with `{name}` {made}, not {asked}"
            raise UserError(f"{task.folder} {said}; repeat that, or give another folder as `out`")
    return run


def _told(run: Run, share: Share) -> Iterator[tuple[str, Any, Any]]:
    """What a run was made with beside what is asked for, by name; what an older run does not say is not compared."""
    about = {"init": share.init.init, "name": share.name, "samples": share.samples, "samples_at": share.samples_at}
    for name, asked in about.items():
        yield name, run.about.get(name, asked), asked
    if "start" in run.about:
        told = options(share.init)
        for name, field in fields.fields(type(share.init)).items():
            yield name, run.about["start"].get(name, field.default), told.get(name, field.default)
    for name in fields.fields(InvertSettings):
        if not run.settings.means(name, asked := getattr(share.settings, name)):
            yield name, getattr(run.settings, name), asked
    if not run.is_of(share.model):
        yield "model", run.about["model"], share.model
    # Where no precision is asked for, that of another machine is as good.
    made, asked = (backbones.choose_dtype(torch.device("cpu"), name) for name in (run.about["dtype"], share.dtype))
    if share.dtype != "auto" and made != asked:
        yield "dtype", run.about["dtype"], share.dtype


@functools.lru_cache(maxsize=1)
def _backbone(model: str, device: str, dtype: str, offload: str) -> Backbone:
    return backbones.load(model, device, dtype, offload)
