"""From a concept, or a run, to its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image
from torch import Tensor

from photowords import formats, images
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.evaluation import measures
from photowords.evaluation.measures import Drawn
from photowords.evaluation.protocol import Protocol, Score
from photowords.inversion import Run
from photowords.metrics import METRICS, Metric, Suite, losses, resolve

DEFAULTS = ("lpips", "sifid", "clip-reconstruction", "clip-editability")
"""The metrics of pictures where none are asked for, by formula."""


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
        photos: what the concept was learned from; their middle squares are compared, in the model's size.
        metrics: names that ``resolved`` takes, those of runs excepted.
        protocol: what is sampled: prompts, edit prompts, samples, sampler.
        truth: true views of the same thing. psnr and ssim need them; clip-i, dino and dinov2 prefer them to the photos.
        sources: "clip", "dino" and "dinov2" -> folder or hub name; "weights" -> folder of weight files. By default
            the backbone's own CLIP, the published DINOs, and the folders of ``metrics.weights.find``.
        suite: in which names are understood; None is the backbone's own.

    Raises:
        UserError: an unknown metric, missing weights or pictures (all before anything is sampled), or what
            ``generate`` raises.
    """
    asked = resolved(metrics, backbone, suite)
    if of_runs := [metric.name for metric in asked if metric.measure == "run"]:
        raise UserError(f"{of_runs[0]} is a metric of a run; evaluate the run's folder")
    drawn = Drawn(backbone, concept, photos, protocol or Protocol(), truth)
    loaded = scorers(backbone, asked, sources)
    for metric in asked:
        measures.check(drawn, metric)
    return {
        metric.name: _score(
            metric,
            measures.values(drawn, metric, loaded[metric.name]),
            measures.how(drawn, metric, loaded[metric.name]),
        )
        for metric in asked
    }


def evaluate_run(
    backbone: Backbone,
    run: Run,
    metrics: Sequence[str],
    protocol: Protocol | None = None,
    truth: Sequence[Image] = (),
    sources: Mapping[str, str] | None = None,
    suite: Suite | None = None,
) -> dict[str, dict[str, Score]]:
    """Scores of a run's concept at step 0 and as learned: {"start": {...}, "learned": {...}}; see ``evaluate``."""
    asked = resolved(metrics, backbone, suite)
    if "training-loss" in metrics:
        raise UserError("training-loss is what the run's losses.jsonl holds for each step; ask for held-out-loss")
    start, learned = run.start(), formats.read(run.concept_file)
    squares = [
        photo.crop(images.square_box(photo.size, mask)) for photo, mask in zip(run.photos(), run.masks(), strict=True)
    ]
    sampled = [metric.name for metric in asked if metric.measure != "run"]
    protocol = protocol or Protocol.of_kind(run.settings.kind)
    found = {
        which: evaluate(backbone, concept, squares, sampled, protocol, truth, sources) if sampled else {}
        for which, concept in (("start", start), ("learned", learned))
    }
    if len(sampled) < len(asked):
        for which, scores in zip(found, held_out(backbone, run, (start, learned)), strict=True):
            found[which] |= scores
    return {which: {m.name: scores[m.name] for m in asked if m.name in scores} for which, scores in found.items()}


def held_out(backbone: Backbone, run: Run, concepts: Sequence[Concept]) -> list[dict[str, Score]]:
    """The held-out loss of concepts on a run's photos and settings; for all but the first, the gain over the first."""
    problem = run.problem(backbone)
    how = f"{run.settings.held_out} fixed (timestep, noise, template) tuples on the run's photos"
    found: list[dict[str, Score]] = []
    first: Tensor | None = None
    for concept in concepts:
        backbone.check(concept)
        tuples = problem.held_out({name: concept.vectors(name) for name in concept.encoders})
        found.append({"held-out-loss": _score(METRICS["held-out-loss"], tuples, how, _thirds(tuples))})
        if first is None:
            first = tuples
            continue
        gain = first - tuples
        found[-1]["held-out-gain"] = _score(
            METRICS["held-out-gain"], gain, f"{how}, paired with the start", _thirds(gain)
        )
    return found


def _score(metric: Metric, values: Tensor, how: str, parts: Mapping[str, float | None] | None = None) -> Score:
    """The score of pictures' values, (prompts, samples), or of tuples', (tuples,)."""
    values = values.double().cpu()
    seeds = values.mean(0) if values.dim() == 2 else values
    return Score(
        value=values.mean().item(),
        direction=metric.direction,
        samples=values.numel(),
        seeds=len(seeds) if values.dim() == 2 else None,
        spread=_deviation(values.flatten()),
        standard_error=None if (spread := _deviation(seeds)) is None else spread / len(seeds) ** 0.5,
        how=how,
        parts=parts or {},
    )


def _deviation(values: Tensor) -> float | None:
    """Sample standard deviation; None for a single value, and where one is not finite (the PSNR of equal pictures)."""
    found = values.std().item() if len(values) > 1 else math.nan
    return found if math.isfinite(found) else None


def _thirds(tuples: Tensor) -> dict[str, float | None]:
    return dict(zip(("little_noise", "middling_noise", "much_noise"), losses.by_thirds(tuples), strict=True))
