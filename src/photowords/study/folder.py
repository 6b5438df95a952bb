"""A study's folder: written so that a kill at any moment leaves whole trials, and the rest to do.

study.toml, plan.json   what was asked for, and what it means here
trials/ID.json          a finished trial; written whole and last, so that a trial that is there is done
pictures/ID/            strips of samples
photos/CONCEPT.png      the photos, square and small
timings.jsonl           seconds of each trial; no result
report/                 tables and figures, made again at each run
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import torch
from PIL.Image import Image

from photowords import __version__, evaluation, files, images
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.report.results import PLAN, picture_file
from photowords.study import grid
from photowords.study.grid import Trial
from photowords.study.plan import Study
from photowords.study.trial import Outcome

PHOTO_SIDE = 256
SEEN = ("photos", "masks", "truth")
MUST_AGREE = ("name", "threads", "photowords", "torch")
"""Of plan.json, to go on in its folder, beside trials, which may become more: an id holds all that determines its
result. What the study asks and what its report shows may change."""


@contextmanager
def open_(out: Path, record: Mapping[str, Any], toml: bytes, squares: Mapping[str, Image]) -> Iterator[None]:
    """Make the folder, or find that it is this study's, and hold it while trials are kept in it.

    ``squares``: of each concept's first photo, what is learned from.

    Raises UserError where it is not this study's, where another process holds it, or when it cannot be written.
    """
    known = out / PLAN
    check_out(out)
    files.make_folder(out)
    with files.locked(out, "another photowords study"):
        if known.exists():
            _check_same(known, record)
        files.write_json(known, record)  # first, so that a kill leaves a folder that is known again
        for part in ("trials", "pictures", "photos"):
            files.make_folder(out / part)
        drawn = [place for place in (out / "pictures").iterdir() if place.is_dir()]
        for place in (out, out / "trials", out / "photos", *drawn):
            files.remove_left(place)
        files.write_bytes(out / "study.toml", toml)
        for name, square in squares.items():
            small = images.to_pil(images.to_tensor(square, min(PHOTO_SIDE, *square.size)))[0]
            images.save_png(small, out / "photos" / f"{name}.png")
        yield


def check_out(out: Path) -> None:
    """Raise UserError where something lies that is no study."""
    if not (out / PLAN).exists() and out.exists() and not _is_free(out):
        raise UserError(f"{out} holds something that is no study; give a new or an empty folder as `out`")


def _is_free(out: Path) -> bool:
    """Whether a path is a folder with nothing in it but what a killed process left."""
    return out.is_dir() and all(files.is_ours(path) for path in out.iterdir())


def _check_same(known: Path, record: Mapping[str, Any]) -> None:
    try:
        there = json.loads(known.read_text())
        differ = [key for key in MUST_AGREE if there[key] != record[key]]
        differ += ["trials"] * (not {*there["trials"]} <= {*record["trials"]})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{known} cannot be read, so its study cannot go on; give another folder as `out`") from error
    if differ:
        raise UserError(
            f"{known.parent} is a study with other {', '.join(differ)}; go on with the same model and versions and a "
            "file that has all of its trials and perhaps more, or give another folder as `out`"
        )


def found_done(out: Path, record: Mapping[str, Any], trials: Sequence[Trial]) -> list[Trial]:
    """Those of a study's trials that are done in a folder, which is only looked at. Raises UserError as ``open_``."""
    check_out(out)
    if (out / PLAN).exists():
        _check_same(out / PLAN, record)
    return [trial for trial in trials if _lacks(out, trial) is None]


def is_done(out: Path, trial: Trial) -> bool:
    """Whether the trial's file is there and is its own, with the pictures that it kept. Warns where it is not.

    One that is damaged is moved aside.
    """
    lacks, path = _lacks(out, trial), out / "trials" / f"{trial.id}.json"
    if lacks == "its pictures":
        warnings.warn(f"{trial.id} has lost pictures; it is done again", PhotowordsWarning, 2)
    elif lacks is not None and path.exists():
        aside = path.with_name(f"{path.name}.damaged")
        warnings.warn(f"{path} is damaged; it is now {aside.name}, and the trial is done again", PhotowordsWarning, 2)
        os.replace(path, aside)
    return lacks is None


def _lacks(out: Path, trial: Trial) -> Literal["its file", "its pictures"] | None:
    """What a trial lacks to be done: a file that is its own, or pictures that it kept; None for nothing."""
    try:
        record = json.loads((out / "trials" / f"{trial.id}.json").read_text())
        if record["id"] != trial.id or grid.canonical(record["spec"]) != grid.canonical(trial.spec):
            return "its file"
        return None if all((out / file).is_file() for file in _kept(record)) else "its pictures"
    except (OSError, ValueError, KeyError, TypeError):
        return "its file"


def _kept(record: Mapping[str, Any]) -> list[str]:
    """The pictures that a trial kept, within the study's folder: at those steps that it came to."""
    measured = {point["step"] for point in record["checkpoints"]}
    steps = [step for step in record["pictures_at"] if step in measured]
    return [picture_file(record["id"], step, n) for step in steps for n in range(len(record["picture_prompts"]))]


def keep(out: Path, trial: Trial, outcome: Outcome) -> None:
    """Pictures first and the trial last: a trial that is there is whole."""
    for name, data in outcome.pictures.items():
        files.make_folder((out / name).parent)
        files.write_bytes(out / name, data)
    files.write_json(out / "trials" / f"{trial.id}.json", outcome.record)
    log(out / "timings.jsonl", json.dumps({"id": trial.id, "seconds": round(outcome.seconds, 3)}))


def log(path: Path, line: str) -> None:
    """Add a line to a file that is no result: one that cannot be written stops nothing."""
    with suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _shared(protocol: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Of a trial's protocol what does not depend on its concept, whose class stands with it."""
    return protocol and {key: value for key, value in protocol.items() if key != "class_word"}


def plan_record(study: Study, trials: Sequence[Trial], backbone: Backbone) -> dict[str, Any]:
    """plan.json: what the file means on this model and with these versions."""
    spec = trials[0].spec
    return {
        "name": study.name,
        "question": study.question,
        "model": backbone.name,
        "revision": backbone.revision,
        **spec["model"],
        "threads": 1,
        "photowords": __version__,
        "torch": str(torch.__version__),
        "suite": evaluation.suite(backbone),
        "metrics": spec["metrics"],
        "samples": study.samples,
        "protocol": {trial.arm.name: _shared(trial.spec["protocol"]) for trial in trials},
        "picture_prompts": {trial.arm.name: list(trial.picture_prompts) for trial in trials},
        "seeds": list(study.seeds),
        "concepts": [
            {
                "name": source.name,
                **{key: next(trial.spec[key] for trial in trials if trial.source is source) for key in SEEN},
                "class": source.label,
                "words": source.words,
            }
            for source in study.concepts
        ],
        "arms": [
            {
                "name": arm.name,
                "label": arm.label,
                "init": arm.start.init,
                "steps": arm.settings.steps,
                "evaluate_at": list(arm.settings.evaluate_at or ()),
                "score_at": list(arm.score_at),
                "pictures_at": list(arm.pictures_at),
                "settings": grid.settings(arm.settings),
            }
            for arm in study.arms
        ],
        "trials": [trial.id for trial in trials],
        "report": list(study.report),
    }
