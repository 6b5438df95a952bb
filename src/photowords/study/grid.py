"""The cells of a study's grid, each with an id that everything that determines its result goes into."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from photowords import images, pocket
from photowords.backbones import Backbone
from photowords.pretrained import portable_name
from photowords.settings import InvertSettings
from photowords.study import scoring
from photowords.study.plan import SETTINGS, Arm, Study, Subject, Table

METHOD = ("steps", "batch", "weight_decay", "kind", "held_out")
"""Settings that always stand in a spec; others do where they are not the default, so that a new one moves no id."""


@dataclass(frozen=True)
class Trial:
    """One cell of the grid. ``spec`` is all that determines its result, and what the id ends in is its hash."""

    id: str
    subject: Subject
    arm: Arm
    seed: int
    spec: Table
    other: Subject | None


def trials(study: Study, backbone: Backbone) -> list[Trial]:
    """The grid's cells: one seed after the other, and in it all arms of one concept together.

    So a study that is stopped half-way can be read already. Raises UserError for a photo that cannot be read and
    for an unknown metric.
    """
    metrics = scoring.metrics(study.metrics, backbone)
    hashes = {path: images.sha256(path) for s in study.subjects for path in (s.photo, *s.truth)}
    model = {
        "fingerprint": backbone.fingerprint,
        "weights": backbone.weights_hash()[:16],
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "device": backbone.device.type,
    }
    cells = []
    for seed in study.seeds:
        for number, subject in enumerate(study.subjects):
            for arm in study.arms:
                other = _other(study.subjects, number, seed) if arm.init == "other-caption" else None
                spec: dict[str, Any] = {
                    "photo": hashes[subject.photo],
                    "init": arm.init,
                    "hint": _portable(hint(arm, subject)),
                    "settings": _told(arm.settings),
                    "seed": seed,
                    "model": model,
                    "metrics": metrics,
                    "protocol": dataclasses.asdict(scoring.protocol(arm.settings.kind, study.samples))
                    if metrics
                    else None,
                    "evaluate_at": list(arm.settings.evaluate_at or ()),
                    "score_at": list(arm.score_at),
                }
                if other is not None:
                    spec["other"] = hashes[other.photo]
                if metrics and subject.truth:
                    spec["truth"] = [hashes[path] for path in subject.truth]
                digest = hashlib.sha256(canonical(spec).encode()).hexdigest()[:8]
                cells.append(Trial(f"{subject.name}-{arm.name}-s{seed}-{digest}", subject, arm, seed, spec, other))
    return cells


def canonical(value: Any) -> str:
    """JSON that is equal for equal values: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _other(subjects: Sequence[Subject], number: int, seed: int) -> Subject | None:
    """The concept whose picture stands in for this one's: another one for another seed, never itself.

    None leaves it to the initializer, which takes one of the bank's.
    """
    if len(subjects) == 1 or pocket.BANK in subjects[number].photo.parents:
        return None
    return subjects[(number + 1 + seed % (len(subjects) - 1)) % len(subjects)]


def hint(arm: Arm, subject: Subject) -> dict[str, Any]:
    """What the arm says of every concept and the concept of itself."""
    if arm.init == "words":
        return {"words": subject.words, **arm.hint}
    if arm.init == "class" and subject.label:
        return {"words": subject.label, **arm.hint}
    return dict(arm.hint)


def _portable(told: Table) -> dict[str, Any]:
    """The same, readers by the names that do not depend on where their folders lie."""
    readers = ("captioner", "classifier")
    return {key: portable_name(value) if key in readers else value for key, value in told.items()}


def _told(settings: InvertSettings) -> dict[str, Any]:
    """The settings as a spec has them: the rate as AdamW gets it, without what the study says itself."""
    default = InvertSettings()
    own = {key: getattr(settings, key) for key in SETTINGS}
    kept = {key: value for key, value in own.items() if key in METHOD or value != getattr(default, key)}
    kept.pop("evaluate_every", None)
    return {**kept, "lr": settings.learning_rate}
