"""From a concept, or a run, to its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL.Image import Image
from torch import Tensor

from photowords import formats
from photowords.backbones import Backbone
from photowords.backbones.familiar import warn_of_strangers
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.evaluation import measures
from photowords.evaluation.measures import Drawn
from photowords.evaluation.protocol import Protocol, Score
from photowords.inversion import Run
from photowords.inversion.views import framed
from photowords.metrics import METRICS, Metric, Suite, losses, resolve

DEFAULTS = ("lpips", "sifid", "clip-reconstruction", "clip-editability")
"""The metrics of pictures where none are asked for, by formula."""

THIRDS = ("little_noise", "middling_noise", "much_noise")


def suite(backbone: Backbone) -> Suite:
    """Whose metrics suit a backbone's pictures: the pocket's for a small world's, published ones for others."""
    return "published" if backbone.world is None else "pocket"


def resolved(names: Sequence[str], backbone: Backbone, of: Suite | None = None) -> list[Metric]:
    """The metrics that names mean for a backbone's pictures, or in the suite given; ``metrics.resolve`` says how.

    Raises UserError for an unknown name, and for two names of one metric.
    """
    found = [resolve(name, of or suite(backbone)) for name in names]
    for metric in found:
        if found.count(metric) > 1:
            raise UserError(f"{metric.name} is asked for twice on {backbone.name}; keep one")
    return found


def scorers(backbone: Backbone, metrics: Sequence[Metric], sources: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Metric's name -> its scorer, loaded (and kept for the next call); nothing for metrics of runs.

    Raises UserError where a scorer cannot be had.
    """
    given = {"clip": backbone.readers["clip"], **(sources or {})}
    return {
        metric.name: metric.load(given.get(metric.source) if metric.source else None, backbone.device)
        for metric in metrics
        if metric.load
    }


def evaluate(
    backbone: Backbone,
    concept: Concept,
    photos: Sequence[Image],
    metrics: Sequence[str],
    protocol: Protocol | None = None,
    truth: Sequence[Image] = (),
    sources: Mapping[str, str] | None = None,
    suite: Suite | None = None,
) -> dict[str, Score]:
    """Metric's name -> score. Each prompt is sampled once for all metrics; scorers stay loaded for the next call.

    Args:
        photos: what the concept was learned from; the squares that were learned are compared, in the model's size: the
            middle ones, unless the concept says that its photos were squashed.
        metrics: names that ``resolved`` takes, those of runs excepted.
        protocol: what is sampled: prompts, edit prompts, samples, sampler.
        truth: true views of the same thing. psnr and ssim need them; clip-i, dino and dinov2 prefer them to the photos.
        sources: "clip", "dino" and "dinov2" -> folder or hub name; "weights" -> folder of weight files. By default
            the backbone's own CLIP, the published DINOs, and the folders of ``metrics.weights.find``.
        suite: in which names are understood; None is the backbone's own.

    Warns of photos and true views that the backbone is known not to know.

    Raises:
        UserError: an unknown metric, missing weights or pictures (all before anything is sampled), or what
            ``generate`` raises.
    """
    asked = resolved(metrics, backbone, suite)
    if of_runs := [metric.name for metric in asked if metric.measure == "run"]:
        raise UserError(f"{of_runs[0]} is a metric of a run; evaluate the run's folder")
    squares = [framed(photo, None, concept.resize) for photo in photos]
    _warn_of_strangers(backbone, squares, truth)
    measured = _pictures(backbone, concept, squares, asked, protocol or Protocol(), truth, sources)
    return {name: each.score() for name, each in measured.items()}


def evaluate_run(
    backbone: Backbone,
    run: Run,
    metrics: Sequence[str],
    protocol: Protocol | None = None,
    truth: Sequence[Image] = (),
    sources: Mapping[str, str] | None = None,
    suite: Suite | None = None,
) -> dict[str, dict[str, Score]]:
    """Scores of a run's concept at step 0, as learned, and of what learning changed.

    {"start": {...}, "learned": {...}, "difference": {...}}; see ``evaluate``. A difference is learned minus start,
    paired by prompt and seed (or tuple), and so is its standard error: what seeds or tuples do to both cancels.
    """
    asked = resolved(metrics, backbone, suite)
    if "training-loss" in metrics:
        raise UserError("training-loss is what the run's losses.jsonl holds for each step; ask for held-out-loss")
    squares = [framed(photo, mask, run.settings.resize) for photo, mask in zip(run.photos(), run.masks(), strict=True)]
    _warn_of_strangers(backbone, squares, truth)
    of_pictures = [metric for metric in asked if metric.measure != "run"]
    protocol = protocol or Protocol.for_property(run.settings.learnable_property)
    concepts = run.start(), formats.read(run.concept_file)
    start, learned = (
        _pictures(backbone, concept, squares, of_pictures, protocol, truth, sources) if of_pictures else {}
        for concept in concepts
    )
    if len(of_pictures) < len(asked):
        before, after = (_held_out(backbone, run, concept) for concept in concepts)
        start |= {before.metric.name: before}
        learned |= {after.metric.name: after, "held-out-gain": before.minus(after, METRICS["held-out-gain"])}
    found = {
        "start": start,
        "learned": learned,
        "difference": {name: learned[name].minus(start[name]) for name in start},
    }
    return {
        which: {metric.name: each[metric.name].score() for metric in asked if metric.name in each}
        for which, each in found.items()
    }


@dataclass(frozen=True)
class _Measured:
    """A metric's values, of pictures (prompts, seeds) or of tuples (tuples,), and how they were obtained."""

    metric: Metric
    values: Tensor
    how: str

    def minus(self, other: _Measured, metric: Metric | None = None) -> _Measured:
        """The paired difference."""
        how = f"paired difference over {self.how}"
        return _Measured(metric or self.metric, self.values.double() - other.values.double(), how)

    def score(self) -> Score:
        values = self.values.double().cpu()
        of_pictures = values.dim() == 2
        independent = values.mean(0) if of_pictures else values  # prompts share their seeds
        error = _deviation(independent)
        return Score(
            value=values.mean().item(),
            direction=self.metric.direction,
            samples=values.numel(),
            seeds=len(independent) if of_pictures else None,
            spread=_deviation(values.flatten()),
            standard_error=None if error is None else error / len(independent) ** 0.5,
            how=self.how,
            parts={} if of_pictures else dict(zip(THIRDS, losses.by_thirds(values), strict=True)),
        )


def _warn_of_strangers(backbone: Backbone, photos: Sequence[Image], truth: Sequence[Image]) -> None:
    """Scores are taken beside photos and true views; both should be of the model's world."""
    for pictures, called in ((photos, "photo"), (truth, "true view")):
        warn_of_strangers(backbone, pictures, called=called, expect="scores that say little")


def _pictures(
    backbone: Backbone,
    concept: Concept,
    photos: Sequence[Image],
    metrics: Sequence[Metric],
    protocol: Protocol,
    truth: Sequence[Image],
    sources: Mapping[str, str] | None,
) -> dict[str, _Measured]:
    """Metrics of pictures, measured. What is missing is said before anything is sampled."""
    drawn = Drawn(backbone, concept, photos, protocol.on(backbone), truth)
    loaded = scorers(backbone, metrics, sources)
    for metric in metrics:
        measures.check(drawn, metric)
    return {
        metric.name: _Measured(metric, measures.values(drawn, metric, scorer), measures.how(drawn, metric, scorer))
        for metric in metrics
        for scorer in (loaded[metric.name],)
    }


def _held_out(backbone: Backbone, run: Run, concept: Concept) -> _Measured:
    """The held-out loss of a concept on a run's photos and settings."""
    backbone.check(concept)
    tuples = run.problem(backbone).held_out({name: concept.vectors(name) for name in concept.encoders})
    how = f"{len(tuples)} fixed (timestep, noise, template) tuples on the run's photos"
    return _Measured(METRICS["held-out-loss"], tuples, how)


def _deviation(values: Tensor) -> float | None:
    """Sample standard deviation; None for a single value, and where one is not finite (the PSNR of equal pictures)."""
    found = values.std().item() if len(values) > 1 else math.nan
    return found if math.isfinite(found) else None
