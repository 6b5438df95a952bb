"""One trial: from a photo to the record of what was learned, measured at its checkpoints. Writes nothing."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import backbones, evaluation, images
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError, reason
from photowords.evaluation import Score
from photowords.fields import fields
from photowords.generation import generate
from photowords.initializers import start
from photowords.inversion import Diverged, Step, invert
from photowords.inversion.views import described, framed
from photowords.metrics.losses import by_thirds, paired_difference
from photowords.report.results import picture_file
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Class
from photowords.study import grid
from photowords.study.grid import Trial


@dataclass(frozen=True)
class Job:
    """A trial with all that a worker on another machine needs: pictures, not paths; the model by name.

    ``photos`` are what is learned from, with the mask of each (None for none); ``other`` is what a start looks at that
    describes another picture; ``scorers`` are the study's own; ``elsewhere`` says that the model of that name may be
    another where the worker is.
    """

    trial: Trial
    photos: Sequence[Image]
    masks: Sequence[Image | None]
    other: Image | None
    truth: Sequence[Image]
    scorers: Mapping[str, str]
    model: str
    device: str
    dtype: str
    elsewhere: bool = False

    def work(self) -> Outcome:
        return work(self)

    def stop(self) -> bool:
        return False  # a trial is kept whole or not at all

    def lost(self, how: str) -> Outcome:
        return Outcome(failure=how)


@dataclass(frozen=True)
class Outcome:
    """What a worker answers.

    Attributes:
        record: the trial's JSON values; None where it failed.
        pictures: file, within the study's folder, -> PNG bytes of a strip.
        failure: one sentence where it failed; ``trace`` says where, for a fault that is ours.
        warnings: sentences, each once.
        seconds: of the whole trial. Not a result.
    """

    record: dict[str, Any] | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    failure: str | None = None
    trace: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def work(job: Job) -> Outcome:
    """Run a trial in this process, which keeps the backbone for the next one. A failure is an answer, not an error."""
    # One thread wherever it runs: sums are split by threads, and the last bits with them.
    torch.set_num_threads(1)
    began = time.perf_counter()
    record: dict[str, Any] | None = None
    pictures: dict[str, bytes] = {}
    failure, trace = None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PhotowordsWarning)
        try:
            backbone, weights = _backbone(job.model, job.device, job.dtype, job.elsewhere)
            began = time.perf_counter()  # loading is paid once a worker
            if not weights.items() <= job.trial.spec["model"].items():
                raise UserError(f"the worker's {job.model} is another model than the study's; give it the same one")
            record, pictures = _run(job, backbone)
        except UserError as error:
            failure = str(error)
        except Exception as error:
            failure, trace = f"{type(error).__name__}: {reason(error)}", traceback.format_exc()
    said = dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, PhotowordsWarning))
    return Outcome(record, pictures, failure, trace, tuple(said), time.perf_counter() - began)


@functools.lru_cache(maxsize=1)
def _backbone(model: str, device: str, dtype: str, elsewhere: bool) -> tuple[Backbone, dict[str, str]]:
    """A model, and what tells it from others of its name: all its weights, which take time to hash, where it may be."""
    backbone = backbones.load(model, device, dtype)
    return backbone, grid.weights(backbone) if elsewhere else {"fingerprint": backbone.fingerprint}


@dataclass
class _Course:
    """What is gathered while a trial runs."""

    losses: list[float | None] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    how: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    diverged: str | None = None


def _run(job: Job, backbone: Backbone) -> tuple[dict[str, Any], dict[str, bytes]]:
    trial, arm = job.trial, job.trial.arm
    concept = begin(job, backbone)
    course = _learn(job, backbone, concept)
    record = {
        "id": trial.id,
        "concept": trial.source.name,
        "arm": arm.name,
        "init": arm.start.init,
        "seed": trial.seed,
        "spec": trial.spec,
        "sentence": concept.sentence,
        "placeholders": len(concept.vectors(concept.encoders[0])),
        "class": concept.sentence if isinstance(arm.start, Class) else trial.source.label,
        "caption": concept.provenance.get("caption"),
        "training_loss": course.losses,
        "checkpoints": course.checkpoints,
        "how": course.how,
        "diverged": course.diverged,
        "picture_prompts": list(trial.picture_prompts),
        "pictures_at": list(arm.pictures_at),
    }
    return record, course.pictures


def _learn(job: Job, backbone: Backbone, concept: Concept) -> _Course:
    """Invert, and measure at the arm's checkpoints."""
    trial, arm, course = job.trial, job.trial.arm, _Course()
    settings = dataclasses.replace(arm.settings, seed=trial.noise_seed)
    if not any(job.masks):  # the arm's is for those concepts that have one
        settings = dataclasses.replace(settings, background_weight=None)
    first: Tensor | None = None
    try:
        for step in invert(backbone, concept, job.photos, settings, masks=job.masks):
            if step.loss is not None:
                course.losses.append(_round(step.loss))
            if step.held_out is None:
                continue
            first = step.held_out if first is None else first
            scored = bool(trial.spec["metrics"]) and step.index in arm.score_at
            scores = score(job, backbone, step.concept) if scored else {}
            course.how |= {name: one.how for name, one in scores.items()}
            course.checkpoints.append(_checkpoint(step, first, settings, scores))
            if step.index in arm.pictures_at:
                for number, prompt in enumerate(trial.picture_prompts):
                    file = picture_file(trial.id, step.index, number)
                    course.pictures[file] = _strip(backbone, step.concept, prompt, trial.spec["pictures"]["samples"])
    except Diverged as error:
        course.diverged = str(error)
    return course


def begin(job: Job, backbone: Backbone) -> Concept:
    """The concept at step 0: the arm's start, with the trial's seed and the other picture where it looks at them."""
    trial = job.trial
    how = grid.start_of(trial.arm, trial.source)
    own = {"seed": trial.noise_seed, "other": job.other}
    how = dataclasses.replace(how, **{name: value for name, value in own.items() if name in fields(type(how))})
    resize = trial.arm.settings.resize
    photos = described(job.photos, job.masks, resize)
    return start(how, photos, backbone, trial.source.name, job.masks[0])


def _checkpoint(step: Step, first: Tensor, settings: InvertSettings, scores: Mapping[str, Score]) -> dict[str, Any]:
    assert step.held_out is not None
    difference, error = paired_difference(step.held_out, first)
    return {
        "step": step.index,
        "sample_steps": step.sample_steps,
        "training_sample_steps": step.index * settings.batch,
        "held_out": {
            "mean": _round(step.held_out.double().mean().item()),
            "difference": _round(difference),
            "standard_error": _round(error),
            "thirds": [_round(mean) for mean in by_thirds(step.held_out)],
            "losses": [_round(loss) for loss in step.held_out.tolist()],
        },
        "scores": {
            name: {
                "value": _round(one.value),
                "spread": _round(one.spread),
                "standard_error": _round(one.standard_error),
                "samples": one.samples,
                "seeds": one.seeds,
                "direction": one.direction,
            }
            for name, one in scores.items()
        },
    }


def score(job: Job, backbone: Backbone, concept: Concept, quick: bool = False) -> dict[str, Score]:
    """The study's metrics of a concept; ``quick`` samples next to nothing, to find out what is missing."""
    protocol = job.trial.protocol
    if quick:
        protocol = dataclasses.replace(protocol, samples=1, settings=GenerateSettings(steps=1))
    resize = job.trial.arm.settings.resize
    squares = [framed(photo, mask, resize) for photo, mask in zip(job.photos, job.masks, strict=True)]
    return evaluation.evaluate(backbone, concept, squares, job.trial.spec["metrics"], protocol, job.truth, job.scorers)


def _strip(backbone: Backbone, concept: Concept, prompt: str, samples: int) -> bytes:
    """Samples of a prompt with the concept at ``{}`` side by side, as the bytes of a PNG file."""
    pictures = generate(backbone, prompt.replace("{}", f"{{{concept.name}}}"), [concept], range(samples))
    file = io.BytesIO()
    images.side_by_side(pictures).save(file, format="PNG")
    return file.getvalue()


def _round(value: float | None) -> float | None:
    """To 8 significant digits, as files keep it; None for what is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.8g}")
