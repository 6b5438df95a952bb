"""Whether what ``photowords evaluate`` is asked for goes together."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photowords.errors import UserError
from photowords.settings import SCORERS

if TYPE_CHECKING:
    from photowords.metrics import Metric

SAMPLER = ("steps", "guidance", "true_cfg_scale")
"""Of GenerateSettings, what is an option of the command."""


def check_of_one_thing(args: argparse.Namespace, subjects: list[tuple[Path, Any, Any]]) -> None:
    """Raise UserError where one thing's photos, views or class would be taken for several things'."""
    learned = {concept.photos_sha256 or (str(path),) for path, concept, _ in subjects}
    if len(learned) < 2:
        return
    files = [path for path, _, run in subjects if run is None]
    told = {"truth": args.truth, "class_word": args.class_word, "photo": args.photo if len(files) > 1 else None}
    if named := [name for name, value in told.items() if value]:
        raise UserError(
            f"`{named[0]}` is of one thing, but {subjects[0][0]} and others were learned from several; evaluate them "
            "one by one"
        )


def check_used(args: argparse.Namespace, metrics: list[Metric]) -> None:
    """Raise UserError for an option that none of the metrics looks at."""
    used = {metric.source for metric in metrics} | {metric.measure for metric in metrics}
    drawn = {metric.prompts for metric in metrics}
    looks = {
        **dict.fromkeys(("samples", *SAMPLER), bool(drawn - {"none"})),
        **{name: name in used for name in SCORERS},
        "prompts": bool(drawn & {"all", "first"}),
        "edits": "edits" in drawn,
        "truth": any(metric.truth != "none" for metric in metrics),
        "swap": "swap" in used,
        "class_word": "class text" in used,
    }
    for name, looked_at in looks.items():
        if getattr(args, name) not in (None, []) and not looked_at:
            asked = ", ".join(metric.name for metric in metrics)
            raise UserError(f"`{name}` means nothing to {asked}; leave it out, or ask for other `metrics` or `suite`")
