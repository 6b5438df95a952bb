"""Runs the trials of a study that are not done yet, and keeps each as soon as it is."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL.Image import Image

from photowords import backbones, images, segmentation, workers
from photowords.backbones import Backbone, automatic
from photowords.errors import PhotowordsWarning, UserError
from photowords.initializers.region import seen
from photowords.inversion.views import framed, shown, square
from photowords.study import cost, folder, grid, plan, tables
from photowords.study.grid import Trial
from photowords.study.plan import Study
from photowords.study.sources import Photo
from photowords.study.trial import Job, Outcome, begin, score


class Watcher(Protocol):
    """Is told what happens."""

    def begin(self, trials: Sequence[Trial], done: Sequence[Trial], seconds: float, workers: int | None) -> None:
        """All trials, those done already, the seconds that the others should take, and on how many workers."""

    def started(self, trial: Trial) -> None: ...

    def ended(self, trial: Trial, outcome: Outcome, seconds_left: float) -> None: ...


@dataclass(frozen=True)
class Prepared:
    """A study on one model: its trials, its pictures and masks, and what plan.json says. Nothing is written yet."""

    file: Path
    study: Study
    trials: Sequence[Trial]
    record: Mapping[str, Any]
    pictures: Mapping[Path, Image]
    masks: Mapping[Photo, Image]
    model: str
    device: str
    dtype: str
    seconds_per_pass: float

    def job(self, trial: Trial, cluster: bool = False) -> Job:
        """What a worker needs for a trial, in a process of this machine or on a ``cluster``."""
        source, other = trial.source, trial.other
        return Job(
            trial,
            [self.pictures[photo.path] for photo in source.photos],
            [self.masks.get(photo) for photo in source.photos],
            None if other is None else self._described(other.photos[0], trial.arm.settings.resize),
            [self.pictures[path] for path in source.truth],
            self.study.scorers,
            self.model,
            workers.on_cluster(self.device) if cluster else self.device,
            self.dtype,
            cluster,
        )

    def _described(self, photo: Photo, resize: str) -> Image:
        """What a reader is shown of a concept that it is asked for in another one's place."""
        picture, mask = self.pictures[photo.path], self.masks.get(photo)
        return seen(shown(picture, mask, resize), mask)

    def squares(self) -> dict[str, Image]:
        """The square of each concept's first photo that is learned from, in the first arm, by the concept's name."""
        first = {source.name: source.photos[0] for source in self.study.concepts}
        resize = self.study.arms[0].settings.resize
        return {name: framed(self.pictures[photo.path], self.masks.get(photo), resize) for name, photo in first.items()}


def prepare(file: Path, model: str | None = None, device: str = "auto", dtype: str = "auto") -> Prepared:
    """Read a study, load its model and photos, and lay out the trials. Raises UserError for whatever is wrong."""
    study = plan.read(file)
    pictures = {path: images.load_photo(path) for source in study.concepts for path in source.paths}
    masks = _masks(study, pictures, device)
    named = model or study.model
    if named == "auto":
        learned = [photo for source in study.concepts for photo in source.photos]
        named = automatic.for_photos([pictures[photo.path] for photo in learned], [masks.get(one) for one in learned])
    backbone = backbones.load(named, device, dtype)
    trials = grid.trials(study, backbone, masks)
    prepared = Prepared(
        file,
        study,
        trials,
        folder.plan_record(study, trials, backbone),
        pictures,
        masks,
        backbone.source,
        str(backbone.device),
        next(name for name, kind in backbones.DTYPES.items() if kind == backbone.dtype),
        cost.seconds_per_pass(backbone),
    )
    _rehearse(prepared, backbone)
    del backbone  # the workers load their own
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return prepared


def _masks(study: Study, pictures: Mapping[Path, Image], device: str) -> dict[Photo, Image]:
    """The mask of each photo that says where its object is; clicks are answered by the study's segmenter."""

    def segment(picture: Image, clicks: segmentation.Clicks) -> Image:
        clicks.check(picture.size)  # before a segmenter is loaded
        return segmenter().open(picture)(clicks)

    @functools.cache
    def segmenter() -> segmentation.Segmenter:
        return segmentation.load(study.segmenter, str(backbones.choose_device(device)))

    masks = {}
    for source in study.concepts:
        for photo in source.photos:
            with tables.within(f"concept {source.name}"):
                mask = photo.selected(pictures[photo.path], segment)
                for arm in study.arms:
                    square(pictures[photo.path], mask, arm.settings.resize)  # whose errors are better now than later
            if mask is not None:
                masks[photo] = mask
    return masks


def _rehearse(prepared: Prepared, backbone: Backbone) -> None:
    """Make each arm's start once and score one of them hastily, so that what is missing is said before training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhotowordsWarning)  # the trials will say it
        for number, _ in enumerate(prepared.study.arms):
            job = prepared.job(prepared.trials[number])
            concept = begin(job, backbone)
        if job.trial.spec["metrics"]:
            score(job, backbone, concept, quick=True)


def run(
    prepared: Prepared, out: Path, watcher: Watcher, count: int | None = None, ray: str | None = None
) -> dict[str, Any]:
    """Run the trials that ``out`` lacks and make the report; a summary as plain JSON values.

    ``count`` processes (default: ``workers.default``), or the Ray cluster at the address ``ray``.
    Raises UserError when ``out`` is another study's or no study's, when it cannot be written, and, once all the
    others are done and reported, for trials that failed.
    """
    count = None if ray else (count or workers.default(prepared.device))
    with folder.open_(out, prepared.record, prepared.file.read_bytes(), prepared.squares()):
        done = [trial for trial in prepared.trials if folder.is_done(out, trial)]
        kept = {trial.id for trial in done}
        todo = [trial for trial in prepared.trials if trial.id not in kept]
        meter = cost.Meter(todo, prepared.study.samples, prepared.seconds_per_pass, count or 1)
        watcher.begin(prepared.trials, done, meter.seconds_left, count)
        jobs = [prepared.job(trial, bool(ray)) for trial in todo]
        events = workers.on_ray(jobs, ray) if ray else workers.on_processes(jobs, count or 1)
        failures: dict[str, str] = {}
        try:
            with closing(events):
                for trial, sentence in _keep(events, todo, out, watcher, meter):
                    if sentence is None:
                        done.append(trial)
                    else:
                        failures[trial.id] = sentence
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped; {len(done)} of {len(prepared.trials)} trials are kept, and the same command goes on"
            ) from None
        made = report(out) if done else None
    if failures:
        names, sentence = list(failures), next(iter(failures.values()))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise UserError(
            f"{len(failures)} of {len(prepared.trials)} trials are not done ({shown}): {sentence}; "
            "the others are kept, and the same command tries these again"
        )
    numbers = {"trials": len(prepared.trials), "done": len(done)}
    return {"study": prepared.study.name, "folder": str(out), **numbers, "report": made}


def _keep(
    events: Iterable[workers.Event], todo: Sequence[Trial], out: Path, watcher: Watcher, meter: cost.Meter
) -> Iterator[tuple[Trial, str | None]]:
    """Keep each trial as it ends, and yield it; with the reason where it failed."""
    told: set[str] = set()
    for event in events:
        trial, outcome = todo[event.index], event.outcome
        if outcome is None:
            watcher.started(trial)
            continue
        for sentence in outcome.warnings:
            if sentence not in told:
                told.add(sentence)
                warnings.warn(f"{trial.id}: {sentence}", PhotowordsWarning, stacklevel=2)
        if outcome.record is None:
            folder.log(out / "errors.log", f"{trial.id}: {outcome.failure}\n{outcome.trace}")
        else:
            folder.keep(out, trial, outcome)
        meter.ended(trial, outcome.seconds if outcome.record else 0.0)
        watcher.ended(trial, outcome, meter.seconds_left)
        yield trial, None if outcome.record else outcome.failure or "it failed"


def report(out: Path) -> dict[str, Any]:
    """Make the report of a study's folder from its trial files."""
    from photowords.report.build import write  # matplotlib

    return write(out)
