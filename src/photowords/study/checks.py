"""Whether what a study asks for goes together: its arms with its concepts, its metrics and its report with both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from photowords.errors import UserError
from photowords.metrics import METRICS
from photowords.report import blocks
from photowords.report.blocks.gallery import Gallery
from photowords.starts import Classified, Words
from photowords.study.sources import ConceptSource
from photowords.study.tables import Table

if TYPE_CHECKING:
    from photowords.study.plan import Arm, Study


def check(study: Study) -> None:
    """Raise UserError, one sentence, for the first thing that does not."""
    for arm in study.arms:
        _check_start(arm, study.concepts)
    _check_metrics(study)
    _check_masks(study)
    for block in study.report:
        _check_block(block, study)


def _check_start(arm: Arm, concepts: Sequence[ConceptSource]) -> None:
    """Raise UserError where an arm and a concept leave a start without words, or contradict each other."""
    start = arm.start
    for concept in concepts:
        if isinstance(start, Words) and not (start.words or concept.words):
            raise UserError(f"arm {arm.name} has no words for {concept.name}; add words to the arm or to the concept")
        if isinstance(start, Classified) and concept.label and (start.classifier or start.labels):
            raise UserError(
                f"arm {arm.name} asks a classifier, but concept {concept.name} says its class itself; leave out one"
            )


def _check_metrics(study: Study) -> None:
    """Raise UserError where a metric looks at what a concept lacks, or at another thing in another concept."""
    blind = [concept.name for concept in study.concepts if not concept.truth]
    unnamed = [concept.name for concept in study.concepts if not concept.label]
    for asked in study.metrics:
        told = [metric for metric in METRICS.values() if asked in (metric.name, metric.formula)]
        truths, measures = {metric.truth for metric in told}, {metric.measure for metric in told}
        if blind and "needs" in truths:
            raise UserError(
                f"{asked} compares with true views, and concept {blind[0]} has none; add truth = [...] to it"
            )
        if 0 < len(blind) < len(study.concepts) and "instead" in truths:
            raise UserError(
                f"{asked} compares with true views where there are any, and with the photos else, but concept "
                f"{blind[0]} has no views and others have; add truth = [...] to it, or truth = [] to the others"
            )
        if unnamed and "class text" in measures:
            raise UserError(f"{asked} says the concept's class, and concept {unnamed[0]} has none; add class to it")


def _check_masks(study: Study) -> None:
    """Raise UserError for settings that are of clicks or masks where no concept has any."""
    photos = [photo for concept in study.concepts for photo in concept.photos]
    if study.segmenter and not any(photo.clicks for photo in photos):
        raise UserError("segmenter answers clicks, and no concept has any; add click = [x, y] to one, or leave it out")
    if not any(photo.clicks or photo.mask for photo in photos):
        for arm in study.arms:
            if arm.settings.background_weight is not None:
                raise UserError("background_weight is of what lies outside a mask, and no concept has one")


def _check_block(table: Table, study: Study) -> None:
    """Raise UserError for a [[report]] block that cannot be made, or that shows what the study has not."""
    block = blocks.parse(table, [arm.name for arm in study.arms])
    if not isinstance(block, Gallery):
        evaluated = {step for arm in study.arms for step in arm.settings.evaluate_at or ()}
        blocks.check_measured(table, study.metrics, evaluated, {step for arm in study.arms for step in arm.score_at})
        return
    kept = {step for arm in study.arms for step in arm.pictures_at}
    has: dict[str, set[Any]] = {
        "concepts": {concept.name for concept in study.concepts},
        "step": kept,
        "seeds": set(study.seeds),
        "prompts": set(study.picture_prompts),
    }
    for key, known in has.items():
        if missing := [value for value in getattr(block, key) if value not in known]:
            where = {"step": "pictures_at", "prompts": "picture_prompts"}.get(key, key)
            raise UserError(f"the gallery block shows {missing[0]!r}, which {where} of the study has not; add it there")
