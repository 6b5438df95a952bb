"""A run's folder at step 0: of photos and a start, or of a job that waits."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image

from photowords import fields, files, follow, images, jobs, segmentation
from photowords.backbones import Backbone
from photowords.clock import Clock
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.initializers import start
from photowords.inversion import Run
from photowords.inversion.problem import told
from photowords.inversion.views import described
from photowords.jobs import SAMPLES_AT, Job
from photowords.learning.course import here
from photowords.settings import InvertSettings
from photowords.starts import Start, Words


def begin(
    backbone: Backbone,
    photo_files: Sequence[Path | str],
    out: Path | str,
    init: Start | Concept | str = "caption",
    name: str | None = None,
    settings: InvertSettings | None = None,
    samples: int = jobs.SAMPLES,
    selections: Sequence[segmentation.Selection | None] = (),
    samples_at: str = SAMPLES_AT[0],
    spent: Mapping[str, float] | None = None,
    job: bool = False,
) -> Run:
    """Make a new run folder at step 0, from which ``course`` learns.

    ``init`` is where the words come from, or a concept, which is step 0 whatever has been learned of it; ``name`` is
    the new concept's ("concept", or the one that it has). ``selections``, one for each photo or none at all:
    the object to learn. The first one's object is what the sentence describes, and each is what the loss looks at (see
    ``InvertSettings.background_weight``). ``samples`` pictures of "a photo of a {name}" (of a
    style "a painting in the style of {name}") are drawn, seeds 0, 1, ...,
    before and after or, with ``samples_at`` "checkpoints", whenever the held-out loss is measured; ``spent`` are
    seconds to count as well; ``job`` says that ``out`` is where a job waits, which becomes the run. Raises UserError on
    bad input, before anything is written.
    """
    settings = settings or InvertSettings()
    jobs.check_samples(samples)
    if samples_at not in SAMPLES_AT:
        raise UserError(f"`samples_at` is {samples_at!r}, but it must be one of {', '.join(SAMPLES_AT)}")
    if not photo_files:
        raise UserError("no photo was given; one is enough")
    jobs.check_free(Path(out), job)
    clock = Clock(spent)
    with clock("read"):
        photos = [images.load_photo(path) for path in photo_files]
        chosen: list[segmentation.Selection | None] = [*selections] or [None] * len(photos)
        if len(chosen) != len(photos):
            raise UserError(f"there are {len(chosen)} selections for {len(photos)} photos; give one for each, or None")
        masks = [each.mask if each else None for each in chosen]
        told_of = described(photos, masks, settings.resize)  # raises for a mask that does not fit
        concept = init if isinstance(init, Concept) else start(init, told_of, backbone, mask=masks[0])
        # Of a concept that was learned before, what was learned from is another run's.
        earlier = {key: value for key, value in concept.provenance.items() if key not in ("masks", "scores")}
        concept = dataclasses.replace(
            concept,
            name=concept.name if name is None else name,
            provenance={
                "init": "concept",
                **earlier,
                "step": 0,
                "photos_sha256": [images.sha256(path) for path in photo_files],
                **({"masks": [each and each.provenance() for each in chosen]} if any(chosen) else {}),
                **told(settings, backbone),
                **here(backbone),
            },
        )
    about = {**_about(backbone, init, concept, chosen), "samples": samples, "samples_at": samples_at}
    overlay = _overlay(photos, chosen)
    run = Run.create(out, settings, about, photos, concept, masks, overlay, job)
    files.write_json(run.folder / follow.SECONDS, clock.seconds)
    return run


def options(init: Start | str) -> dict[str, Any]:
    """What a start was told, as JSON values: a picture by its hash, and no address, which is no result."""
    told = {} if isinstance(init, str) else fields.given(init)
    told.pop("refiner", None)
    return {
        name: hashlib.sha256(f"{value.size}".encode() + value.tobytes()).hexdigest()
        if isinstance(value, Image)
        else value
        for name, value in told.items()
    }


def _about(
    backbone: Backbone,
    init: Start | Concept | str,
    concept: Concept,
    chosen: Sequence[segmentation.Selection | None],
) -> dict[str, Any]:
    """What the run's settings.json tells beside its settings."""
    return {
        "name": concept.name,
        "sentence": concept.sentence,
        "words": [[word.text, word.trainable] for word in concept.words],
        "init": concept.provenance["init"],
        **({} if isinstance(init, Concept) else {"start": options(init)}),
        "model": backbone.source,
        **({"selections": [each and each.as_json() for each in chosen]} if any(chosen) else {}),
        **here(backbone),
    }


def _overlay(photos: Sequence[Image], chosen: Sequence[segmentation.Selection | None]) -> Image | None:
    """The masks over their photos, to look at; None where there is none."""
    drawn = [
        segmentation.overlay(photo, each.mask, each.clicks) for photo, each in zip(photos, chosen, strict=True) if each
    ]
    return images.side_by_side(drawn) if drawn else None


def pictures_of(job: Job, folder: Path) -> tuple[list[Image], list[segmentation.Selection | None]]:
    """The photos of a job in the folder, and what is selected in each. Raises UserError where one cannot be read."""
    photos = [images.load_photo(jobs.photo(folder, number)) for number in range(len(job.selections))]
    selections = [
        segmentation.Selection.from_json(told, segmentation.load_mask(jobs.mask(folder, number), photo.size))
        if told
        else None
        for number, (told, photo) in enumerate(zip(job.selections, photos, strict=True))
    ]
    return photos, selections


def begin_job(backbone: Backbone, folder: Path, spent: Mapping[str, float] | None = None) -> Run:
    """Make the run that a job in the folder asks for, in that folder. Raises UserError as ``begin`` does."""
    job = Job.read(folder)
    photos, selections = pictures_of(job, folder)
    settings = job.invert_settings()
    masks = [each.mask if each else None for each in selections]
    told_of = described(photos, masks, settings.resize)
    concept = start(Words(job.sentence, keep_article=True), told_of, backbone, job.name, masks[0])
    if list(concept.texts) != [text for text, _ in job.words]:
        raise UserError(f"the words {job.sentence!r} are not read as they were written; write one word in each place")
    if not any(trainable for _, trainable in job.words):
        raise UserError(f"every word of {job.sentence!r} is frozen; leave at least one to learn")
    words = [
        dataclasses.replace(word, trainable=told) for word, (_, told) in zip(concept.words, job.words, strict=True)
    ]
    return begin(
        backbone,
        [jobs.photo(folder, number) for number in range(len(photos))],
        folder,
        dataclasses.replace(concept, words=tuple(words)),
        settings=settings,
        samples=job.samples,
        selections=selections,
        samples_at=job.samples_at,
        spent=spent,
        job=True,
    )
