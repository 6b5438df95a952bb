"""photowords evaluate: how good a run's concept is, beside the start it came from."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import warnings
from pathlib import Path
from typing import Any

from photowords.cli import options, scores_table
from photowords.cli.evaluated import SAMPLER, check_of_one_thing, check_used
from photowords.cli.options import a_name, a_path, add_fields, add_json, add_model, add_offload, given, number, say
from photowords.cli.reading import model_of, read
from photowords.errors import PhotowordsWarning, UserError
from photowords.fields import fields
from photowords.settings import SCORERS, GenerateSettings

SUITES = ("published", "pocket")  # metrics.Suite, without torch


def add(commands: Any) -> None:
    command = commands.add_parser(
        "evaluate",
        help="score what runs have learned, in one table",
        description="Draw pictures of each run's concept, as it started and as it was learned, and score them under "
        "one fixed protocol. The start is the control: what a score says about learning is its difference.",
    )
    command.add_argument(
        "runs", nargs="*", type=a_path, metavar="RUN", help="run folder, or embedding file (then --photo is needed)"
    )
    command.add_argument(
        "--metrics", metavar="A,B", help="names by comma (see --list; default: those that suit the model)"
    )
    command.add_argument("--list", action="store_true", help="show every metric with its direction and range, and stop")
    command.add_argument(
        "--suite",
        choices=SUITES,
        help="whose metrics names like lpips and sifid mean (default: the pocket's for its own model, else published)",
    )
    group = command.add_argument_group("what is drawn")
    group.add_argument("--samples", type=number(int), metavar="N", help="pictures for each prompt (default: 8)")
    add_fields(group, [fields(GenerateSettings)[name] for name in SAMPLER])
    group.add_argument(
        "--prompts",
        nargs="+",
        default=[],
        metavar="TEXT",
        help='reconstruction prompts with {} for the concept (default: the paper\'s three, "a photo of a {}" first)',
    )
    group.add_argument(
        "--edits", nargs="+", default=[], metavar="TEXT", help="edit prompts, likewise (default: four of ours)"
    )
    group.add_argument("--swap", metavar="OLD=NEW", help="the word that word-swap swaps")
    group = command.add_argument_group("what it is compared with, and by what")
    group.add_argument(
        "--photo", nargs="+", type=a_path, default=[], metavar="PHOTO", help="what an embedding file was learned from"
    )
    group.add_argument(
        "--truth",
        nargs="+",
        type=a_path,
        default=[],
        metavar="PHOTO",
        help="other true views, for psnr, ssim and more",
    )
    group.add_argument("--class-word", metavar="WORD", help="what clip-t's text calls the thing (default: nothing)")
    group.add_argument(
        "--weights",
        type=a_name,
        metavar="FOLDER",
        help="folder of LPIPS's and SIFID's published weight files (default: $PHOTOWORDS_WEIGHTS)",
    )
    group.add_argument(
        "--clip", type=a_name, metavar="NAME", help="CLIP, transformers folder or hub name (default: the model's)"
    )
    group.add_argument("--dino", type=a_name, metavar="NAME", help="DINO, likewise (default: facebook/dino-vits16)")
    group.add_argument("--dinov2", type=a_name, metavar="NAME", help="DINOv2, likewise (default: facebook/dinov2-base)")
    command.add_argument("--out", type=a_path, metavar="FILE.json", help="write every score with its protocol there")
    add_model(command)
    add_offload(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.list:
        if args.runs or args.metrics is not None or args.out:
            raise UserError("--list shows every metric, and scores nothing; leave out runs, --metrics and --out")
        return _list(args)
    if not args.runs:
        raise UserError("no run was given; write photowords evaluate RUN")
    if args.photo and all(path.is_dir() for path in args.runs):
        raise UserError("--photo goes with an embedding file; a run folder has its own photos")
    from photowords import files, images
    from photowords.metrics import resolve

    names = [name.strip() for name in args.metrics.split(",")] if args.metrics is not None else []
    for name in names:  # what is unknown is said before any model is loaded
        resolve(name, args.suite or "published")
    photos, truth = ([images.load_photo(path) for path in paths] for paths in (args.photo, args.truth))
    if args.out:  # what cannot be written is said before anything is sampled
        options.check_target(args.out, (*args.runs, *args.photo, *args.truth), ".json", _is_scores)
        files.make_folder(args.out.parent)
    subjects = [_open(path, bool(photos)) for path in args.runs]
    learned = {digest for _, concept, _ in subjects for digest in concept.photos_sha256}
    if known := [path for path in args.truth if images.sha256(path) in learned]:
        raise UserError(f"{known[0]} was learned from, and so is no `truth`; give other views of the same thing")
    check_of_one_thing(args, subjects)
    rows, failures = list[dict[str, Any]](), []
    result = dict[str, Any]()
    try:
        for subject in subjects:  # one that cannot be measured costs itself alone
            try:
                rows.append(_evaluate(args, *subject, names, photos, truth))
            except UserError as error:
                if len(subjects) == 1:
                    raise
                failures.append(f"{subject[0]} is not measured: {error}")
    finally:  # also of what is stopped, or runs out of memory
        if rows:
            result = {"runs": files.finite(rows)}
            scores_table.show(args, rows)  # first: a full disk costs no number
            if args.out:
                files.write_json(args.out, result)
    if failures:
        raise UserError("; ".join(failures))
    return result


def _is_scores(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and set(found) == {"runs"}


def _open(path: Path, has_photo: bool) -> tuple[Path, Any, Any]:
    """Path, concept, and its Run where it is a run folder."""
    from photowords.inversion import Run

    concept = read(path)
    if not path.is_dir() and not has_photo:
        raise UserError(f"{path} is not a run folder; name the photo it was learned from with --photo")
    return path, concept, Run.open(path) if path.is_dir() else None


def _evaluate(
    args: argparse.Namespace, path: Path, concept: Any, run: Any, names: list[str], photos: Any, truth: Any
) -> dict[str, Any]:
    """One run or embedding file, scored: plain JSON values."""
    from photowords import evaluation

    backbone = _backbone(model_of(args, [concept], [path]), args.device, args.dtype, args.offload)
    asked = names or [*(["held-out-loss"] if run else []), *evaluation.DEFAULTS]
    suite = args.suite or evaluation.suite(backbone)
    check_used(args, evaluation.resolved(asked, backbone, suite))
    learned_as = run.settings.learnable_property if run else concept.learnable_property
    protocol = _protocol(args, learned_as).on(backbone)
    sources = {name: value for name in SCORERS if (value := getattr(args, name))}
    if run:
        scores = evaluation.evaluate_run(backbone, run, asked, protocol, truth, sources, suite)
    else:
        masks = concept.provenance.get("masks")
        if isinstance(masks, list) and any(masks):
            warnings.warn(
                f"{path} was learned from a part of its photo, but is compared with the middle square; evaluate its "
                "run folder",
                PhotowordsWarning,
                stacklevel=2,
            )
        scores = {"learned": evaluation.evaluate(backbone, concept, photos, asked, protocol, truth, sources, suite)}
    return {
        "run": str(path),
        "name": concept.name,
        "sentence": concept.sentence,
        "step": concept.provenance.get("step"),
        "model": backbone.name,
        "revision": backbone.revision,
        "device": backbone.device.type,
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "suite": suite,
        "protocol": dataclasses.asdict(protocol),
        "scores": {
            which: {name: dataclasses.asdict(score) for name, score in found.items()} for which, found in scores.items()
        },
    }


@functools.lru_cache(maxsize=1)
def _backbone(model: str, device: str, dtype: str, offload: str) -> Any:
    """Kept for the next run: most evaluations are of runs of one model."""
    from photowords import backbones

    return backbones.load(model, device, dtype, offload)


def _protocol(args: argparse.Namespace, learnable_property: str) -> Any:
    from photowords.evaluation import Protocol

    told = given(args, ("samples", "swap", "class_word")) | {"settings": GenerateSettings(**given(args, SAMPLER))}
    return dataclasses.replace(Protocol.for_property(learnable_property, args.prompts, args.edits), **told)


def _list(args: argparse.Namespace) -> dict[str, Any]:
    from photowords.metrics import METRICS

    for metric in METRICS.values():
        short = f" ({metric.formula} of the {metric.suite} suite)" if metric.formula != metric.name else ""
        say(args, f"{metric.name}{short}  {metric.direction} is better, {metric.range}")
        say(args, f"    {metric.compares}: {metric.protocol}")
    told = ("name", "formula", "suite", "direction", "range", "compares", "protocol")
    return {"metrics": {name: {key: getattr(metric, key) for key in told} for name, metric in METRICS.items()}}
