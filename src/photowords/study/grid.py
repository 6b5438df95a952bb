"""The cells of a study's grid, each with an id that everything that determines its result goes into."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from photowords import evaluation, images, pocket
from photowords.backbones import Backbone
from photowords.evaluation import Protocol
from photowords.fields import given
from photowords.pretrained import exact_identity
from photowords.settings import InvertSettings
from photowords.starts import Classified, OtherCaption, Start, Words
from photowords.study import measured
from photowords.study.plan import SETTINGS, Arm, Study, Subject, Table

METHOD = ("steps", "batch", "weight_decay", "kind", "held_out")
"""Settings that always stand in a spec; others do where they are not the default, so that a new one moves no id."""
UNTOLD = ("captioner", "reranker", "classifier", "refiner")
"""Options that a spec does not hold as they are: readers stand there by their weights, and an address is no result."""


@dataclass(frozen=True)
class Trial:
    """One cell of the grid.

    ``spec`` is all that determines its result, and what the id ends in is its hash; ``protocol`` is what is sampled
    where its metrics are measured.
    """

    id: str
    subject: Subject
    arm: Arm
    seed: int
    noise_seed: int
    spec: Table
    protocol: Protocol
    other: Subject | None


def trials(study: Study, backbone: Backbone) -> list[Trial]:
    """The grid's cells: one seed after the other, and in it all arms of one concept together.

    So a study that is stopped half-way can be read already. Raises UserError for a photo that cannot be read, for an
    unknown metric, and for readers and scorers that cannot be had.
    """
    metrics = measured.metrics(study.metrics, backbone)
    hashes = {path: images.sha256(path) for s in study.subjects for path in (s.photo, *s.truth)}
    model = {
        "fingerprint": backbone.fingerprint,
        "weights": backbone.weights_hash()[:16],
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "device": backbone.device.type,
    }
    scorers = {name: scorer.about for name, scorer in evaluation.scorers(backbone, metrics).items()}
    cells = []
    for seed in study.seeds:
        for number, subject in enumerate(study.subjects):
            for arm in study.arms:
                other = _other(study.subjects, number, seed) if isinstance(arm.start, OtherCaption) else None
                how = start_of(arm, subject)
                noise = noise_seed(hashes[subject.photo], seed)
                protocol = Protocol.of_kind(arm.settings.kind, samples=study.samples)
                spec: dict[str, Any] = {
                    "photo": hashes[subject.photo],
                    "init": how.init,
                    "options": {key: value for key, value in given(how).items() if key not in UNTOLD},
                    "readers": _readers(how, backbone),
                    "settings": _told(arm.settings),
                    "seed": seed,
                    "noise_seed": noise,
                    "model": model,
                    "metrics": [metric.name for metric in metrics],
                    "scorers": scorers,
                    "protocol": dataclasses.asdict(protocol) if metrics else None,
                    "evaluate_at": list(arm.settings.evaluate_at or ()),
                    "score_at": list(arm.score_at),
                }
                if other is not None:
                    spec["other"] = hashes[other.photo]
                if metrics and subject.truth:
                    spec["truth"] = [hashes[path] for path in subject.truth]
                digest = hashlib.sha256(canonical(spec).encode()).hexdigest()[:8]
                id_ = f"{subject.name}-{arm.name}-s{seed}-{digest}"
                cells.append(Trial(id_, subject, arm, seed, noise, spec, protocol, other))
    return cells


def noise_seed(photo: str, seed: int) -> int:
    """The generator's seed of a trial: of its photo (a hash) and the study's seed, the same in every arm.

    With one seed for all concepts, as studies had it, timesteps and noise are the same in all of them: what they add
    does not average out over concepts, and an interval over concepts cannot see it (simulated: one that is stated as
    95 % holds the truth in 24 to 68 %, ``benchmarks/coverage.py``). A bootstrap that resamples concepts and seeds,
    crossed, would see it where there are many seeds; here most studies have one. With a noise of its own in each
    concept, the noise is a part of how concepts differ. Arms share it, so that differences between arms stay paired.
    """
    return int(hashlib.sha256(f"{photo} {seed}".encode()).hexdigest()[:8], 16)


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


def start_of(arm: Arm, subject: Subject) -> Start:
    """What the arm says of every concept and the concept of itself; the arm comes first."""
    if isinstance(arm.start, Words) and not arm.start.words:
        return dataclasses.replace(arm.start, words=subject.words or "")
    if isinstance(arm.start, Classified) and arm.start.class_name is None:
        return dataclasses.replace(arm.start, class_name=subject.label)
    return arm.start


def _readers(how: Start, backbone: Backbone) -> dict[str, str]:
    """The readers that a start asks, each pinned to its weights, the backbone's own choice included."""
    return {
        option: exact_identity(source or backbone.readers[role], option)
        for option, (role, source) in how.readers().items()
    }


def _told(settings: InvertSettings) -> dict[str, Any]:
    """The settings as a spec has them: the rate as AdamW gets it, without what the study says itself."""
    default = InvertSettings()
    own = {key: getattr(settings, key) for key in SETTINGS}
    kept = {key: value for key, value in own.items() if key in METHOD or value != getattr(default, key)}
    kept.pop("evaluate_every", None)
    return {**kept, "lr": settings.learning_rate}
