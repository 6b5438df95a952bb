"""The cells of a study's grid, each with an id that everything that determines its result goes into."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.Image import Image

from photowords import evaluation, images, pocket
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.evaluation import Protocol
from photowords.fields import given
from photowords.inversion.run import FORMAT
from photowords.metrics import Metric
from photowords.pretrained import identity
from photowords.settings import InvertSettings
from photowords.starts import Classified, OtherCaption, Start, Words
from photowords.study import measured
from photowords.study.plan import SETTINGS, Arm, Study
from photowords.study.sources import ConceptSource, Photo
from photowords.study.tables import Table
from photowords.templates import templates

STRIP = 4
"""Pictures of each prompt that are kept at most, seeds 0, 1, ..."""
METHOD = ("steps", "batch", "optimizer", "weight_decay", "learnable_property", "held_out")
"""Settings that always stand in a spec; others do where they are not the default, so that a new one moves no id."""
UNTOLD = ("captioner", "reranker", "classifier", "refiner")
"""Options that a spec does not hold as they are: readers stand there by their weights, and an address is no result."""


@dataclass(frozen=True)
class Trial:
    """One cell of the grid.

    Attributes:
        id: ends in a hash of ``spec``, which is all that determines its result.
        source: of its concept; ``other`` is the one whose picture stands in for it, where its start looks at another.
        seed: the study's; ``noise_seed`` is what its generators get.
        protocol: what is sampled where its metrics are measured.
        picture_prompts: whose pictures are kept.
    """

    id: str
    source: ConceptSource
    arm: Arm
    seed: int
    noise_seed: int
    spec: Table
    protocol: Protocol
    picture_prompts: tuple[str, ...]
    other: ConceptSource | None


def trials(study: Study, backbone: Backbone, masks: Mapping[Photo, Image]) -> list[Trial]:
    """The grid's cells: one seed after the other, and in it all arms of one concept together.

    So a study that is stopped half-way can be read already. ``masks`` are of the photos that have one. Raises UserError
    for a photo that cannot be read, for an unknown metric, and for readers and scorers that cannot be had.
    """
    metrics = measured.metrics(study.metrics, backbone)
    _check_used(study, metrics)
    hashes = {path: images.sha256(path) for source in study.concepts for path in source.paths}
    scorers = evaluation.scorers(backbone, metrics, study.scorers)
    shared = {
        "model": {
            **weights(backbone),
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "device": backbone.device.type,
        },
        "metrics": [metric.name for metric in metrics],
        "scorers": {name: scorer.about for name, scorer in scorers.items()},
        "format": FORMAT,  # of a run: it moves where the same settings come to learn otherwise
    }
    cells = []
    for seed in study.seeds:
        for number, source in enumerate(study.concepts):
            photos = [hashes[photo.path] for photo in source.photos]
            if {*photos} & {hashes[path] for path in source.truth}:
                raise UserError(f"concept {source.name} has a photo among its truth, which is what training never sees")
            digests = [_digest(masks.get(photo)) for photo in source.photos]
            seen = {
                "photos": photos,
                "masks": digests,
                "truth": [hashes[path] for path in source.truth] if metrics else [],
                "seed": seed,
                "noise_seed": noise_seed([*photos, *(digest for digest in digests if digest)], seed),
                # Whether it matters how a photo becomes a square.
                "cut": any(digests) or not all(_is_square(photo.path) for photo in source.photos),
            }
            for arm in study.arms:
                other = _other(study.concepts, number, seed) if isinstance(arm.start, OtherCaption) else None
                protocol = Protocol.for_property(
                    arm.settings.learnable_property, study.prompts, study.edits, study.samples
                ).on(backbone)
                protocol = dataclasses.replace(protocol, class_word=source.label or "")
                prompts = study.picture_prompts or (templates(arm.settings.learnable_property)[0],)
                kept = {"at": list(arm.pictures_at), "prompts": list(prompts), "samples": min(study.samples, STRIP)}
                spec: dict[str, Any] = {
                    **shared,
                    **seen,
                    **_way(arm, source, backbone),
                    "other": other and [hashes[other.photos[0].path], _digest(masks.get(other.photos[0]))],
                    "protocol": dataclasses.asdict(protocol) if metrics else None,
                    "evaluate_at": list(arm.settings.evaluate_at or ()),
                    "score_at": list(arm.score_at),
                    "pictures": kept if arm.pictures_at else None,
                }
                digest = hashlib.sha256(canonical(spec).encode()).hexdigest()[:8]
                id_ = f"{source.name}-{arm.name}-s{seed}-{digest}"
                cells.append(Trial(id_, source, arm, seed, spec["noise_seed"], spec, protocol, prompts, other))
    return cells


def _check_used(study: Study, metrics: Sequence[Metric]) -> None:
    """Raise UserError for scorers and prompts that none of the study's metrics looks at."""
    if unused := {*study.scorers} - {metric.source for metric in metrics}:
        raise UserError(f"{min(unused)} scores none of the study's metrics; take it out, or ask for one that it does")
    drawn = {metric.prompts for metric in metrics}
    for key, looked_at in (("prompts", drawn & {"all", "first"}), ("edits", drawn & {"edits"})):
        if getattr(study, key) and not looked_at:
            raise UserError(f"{key} are drawn for none of the study's metrics; take them out, or add one that they are")


def weights(backbone: Backbone) -> dict[str, str]:
    """What tells a model from others of its name: hashes of its word vectors, and of all its weights."""
    return {"fingerprint": backbone.fingerprint, "weights": backbone.weights_hash()[:16]}


def _way(arm: Arm, source: ConceptSource, backbone: Backbone) -> dict[str, Any]:
    """Of a spec, how the arm starts and trains this concept."""
    how = start_of(arm, source)
    return {
        "init": how.init,
        "options": {key: value for key, value in given(how).items() if key not in UNTOLD},
        "readers": _readers(how, backbone),
        "settings": _told(arm.settings),
    }


def _digest(mask: Image | None) -> str | None:
    """What tells a mask from others; None for none."""
    return None if mask is None else hashlib.sha256(f"{mask.size}".encode() + mask.tobytes()).hexdigest()


def _is_square(path: Path) -> bool:
    width, height = images.load_photo(path).size
    return width == height


def noise_seed(photos: Sequence[str], seed: int) -> int:
    """The generator's seed of a trial: of its photos and masks (their hashes) and the study's seed, for every arm.

    With one seed for all concepts, as studies had it, timesteps and noise are the same in all of them: what they add
    does not average out over concepts, and an interval over concepts cannot see it (simulated: one that is stated as
    95 % holds the truth in 24 to 68 %, ``benchmarks/coverage.py``). A bootstrap that resamples concepts and seeds,
    crossed, would see it where there are many seeds; here most studies have one. With a noise of its own in each
    concept, the noise is a part of how concepts differ. Arms share it, so that differences between arms stay paired.
    """
    return int(hashlib.sha256(" ".join([*photos, str(seed)]).encode()).hexdigest()[:8], 16)


def canonical(value: Any) -> str:
    """JSON that is equal for equal values: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _other(sources: Sequence[ConceptSource], number: int, seed: int) -> ConceptSource | None:
    """The concept whose picture stands in for this one's: another one for another seed, never itself.

    None leaves it to the initializer, which takes one of the bank's.
    """
    if len(sources) == 1 or pocket.BANK in sources[number].photos[0].path.parents:
        return None
    return sources[(number + 1 + seed % (len(sources) - 1)) % len(sources)]


def start_of(arm: Arm, source: ConceptSource) -> Start:
    """What the arm says of every concept and the concept of itself; the arm comes first."""
    if isinstance(arm.start, Words) and not arm.start.words:
        return dataclasses.replace(arm.start, words=source.words or "")
    if isinstance(arm.start, Classified) and arm.start.class_name is None:
        return dataclasses.replace(arm.start, class_name=source.label)
    return arm.start


def _readers(how: Start, backbone: Backbone) -> dict[str, str]:
    """The readers that a start asks, each pinned to its weights, the backbone's own choice included."""
    return {
        option: identity(source or backbone.readers[role], option) for option, (role, source) in how.readers().items()
    }


def settings(told: InvertSettings) -> dict[str, Any]:
    """All settings but what the study says itself, the rate as it comes out."""
    own = {key: getattr(told, key) for key in SETTINGS if key != "evaluate_every"}
    return {**own, "lr": told.lr if told.rho is None else f"rho:{told.rho:g}"}


def _told(told: InvertSettings) -> dict[str, Any]:
    """The settings as a spec has them."""
    default = InvertSettings()
    kept = ("lr", *METHOD)
    return {key: value for key, value in settings(told).items() if key in kept or value != getattr(default, key)}
