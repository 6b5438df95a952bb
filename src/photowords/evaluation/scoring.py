"""From a concept, or a run, to its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL.Image import Image
from torch import Tensor

from photowords import formats, images
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.evaluation.measures import MEASURES, Subject, is_pockets
from photowords.evaluation.protocol import Protocol, Score
from photowords.inversion import Run
from photowords.metrics import METRICS, losses


def evaluate(
    backbone: Backbone,
    concept: Concept,
    photos: Sequence[Image],
    metrics: Sequence[str],
    protocol: Protocol | None = None,
    truth: Sequence[Image] = (),
    sources: Mapping[str, str] | None = None,
) -> dict[str, Score]:
    """Metric -> score. Each prompt is sampled once for all metrics; scorers stay loaded for the next call.

    Args:
        photos: what the concept was learned from; their middle squares are compared, in the model's size.
        metrics: names of ``METRICS``, those of runs excepted.
        truth: true views of the same thing. psnr and ssim need them; clip-i, dino and dinov2 prefer them to the photos.
        sources: "clip", "dino" and "dinov2" -> folder or hub name; "weights" -> folder of weight files. By default
            the backbone's own CLIP, the published DINOs, and the folders of ``metrics.weights.find``.

    Raises:
        UserError: an unknown metric, missing weights or pictures (all before anything is sampled), or what
            ``generate`` raises.
    """
    check(metrics)
    subject = Subject(backbone, concept, photos, protocol or Protocol(), truth, sources or {})
    for name in metrics:
        if name not in MEASURES:
            raise UserError(f"{name} is a metric of a run; evaluate the run's folder")
    ready = {name: MEASURES[name](subject) for name in metrics}
    return {name: _score(name, measure.values(), subject.how(measure)) for name, measure in ready.items()}


def scorers(
    backbone: Backbone,
    concept: Concept,
    photos: Sequence[Image],
    metrics: Sequence[str],
    protocol: Protocol | None = None,
    truth: Sequence[Image] = (),
    sources: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Metric -> what it would be measured by, its weights included; nothing is sampled. As ``evaluate`` otherwise."""
    subject = Subject(backbone, concept, photos, protocol or Protocol(), truth, sources or {})
    return {name: MEASURES[name](subject).about for name in metrics}


def evaluate_run(
    backbone: Backbone,
    run: Run,
    metrics: Sequence[str],
    protocol: Protocol | None = None,
    truth: Sequence[Image] = (),
    sources: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Score]]:
    """Scores of a run's concept at step 0 and as learned: {"start": {...}, "learned": {...}}; see ``evaluate``."""
    check(metrics)
    start, learned = run.start(), formats.read(run.concept_file)
    squares = [
        photo.crop(images.square_box(photo.size, mask)) for photo, mask in zip(run.photos(), run.masks(), strict=True)
    ]
    sampled = [name for name in metrics if name in MEASURES]
    protocol = protocol or Protocol.of_kind(run.settings.kind)
    found = {
        which: evaluate(backbone, concept, squares, sampled, protocol, truth, sources) if sampled else {}
        for which, concept in (("start", start), ("learned", learned))
    }
    if len(sampled) < len(metrics):
        measured = held_out(backbone, run, (start, learned))
        for which, scores in zip(found, measured, strict=True):
            found[which] |= {name: score for name, score in scores.items() if name in metrics}
    return {which: {name: scores[name] for name in metrics if name in scores} for which, scores in found.items()}


def held_out(backbone: Backbone, run: Run, concepts: Sequence[Concept]) -> list[dict[str, Score]]:
    """The held-out loss of concepts on a run's photos and settings; for all but the first, the gain over the first."""
    problem = run.problem(backbone)
    how = f"{run.settings.held_out} fixed (timestep, noise, template) tuples on the run's photos"
    found: list[dict[str, Score]] = []
    first: Tensor | None = None
    for concept in concepts:
        backbone.check(concept)
        tuples = problem.held_out({name: concept.vectors(name) for name in concept.encoders})
        thirds = _thirds(tuples)
        found.append({"held-out-loss": _score("held-out-loss", tuples, how, thirds)})
        if first is None:
            first = tuples
            continue
        _, error = losses.paired_difference(tuples, first)
        parts = {"standard_error": error, **_thirds(first - tuples)}
        found[-1]["held-out-gain"] = _score("held-out-gain", first - tuples, f"{how}, paired with the start", parts)
    return found


def default_metrics(backbone: Backbone) -> tuple[str, ...]:
    """The metrics that suit a backbone's pictures: the pocket's own for its world, published ones for any other."""
    if is_pockets(backbone.readers["clip"]):
        return "pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction", "pocket-clip-editability"
    return "lpips-vgg", "sifid", "clip-reconstruction", "clip-editability"


def check(metrics: Sequence[str]) -> None:
    """Raise UserError for a name that is no metric."""
    for name in metrics:
        if name not in METRICS:
            raise UserError(f"metric {name!r} is unknown; choose from {', '.join(METRICS)}")


def _score(name: str, values: Tensor, how: str, parts: Mapping[str, float | None] | None = None) -> Score:
    values = values.double().cpu()
    spread = values.std().item() if len(values) > 1 else None
    return Score(values.mean().item(), METRICS[name].direction, len(values), spread, how, parts or {})


def _thirds(values: Tensor) -> dict[str, float | None]:
    return dict(zip(("little_noise", "middling_noise", "much_noise"), losses.by_thirds(values), strict=True))
