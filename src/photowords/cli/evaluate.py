"""photowords evaluate: how good a run's concept is, beside the start it came from."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import sys
from pathlib import Path
from typing import Any

from photowords.cli.options import add_json, add_model, number, say
from photowords.errors import UserError


def add(commands: Any) -> None:
    command = commands.add_parser(
        "evaluate",
        help="score what runs have learned, in one table",
        description="Draw pictures of each run's concept, as it started and as it was learned, and score them under "
        "one fixed protocol. The start is the control: what a score says about learning is its difference.",
    )
    command.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="run folder, or embedding file (then --photo is needed)"
    )
    command.add_argument(
        "--metrics", metavar="A,B", help="names by comma (see --list; default: those that suit the model)"
    )
    command.add_argument("--list", action="store_true", help="show every metric with its direction and range, and stop")
    command.add_argument("--samples", type=number(int), metavar="N", help="pictures for each prompt (default: 8)")
    command.add_argument("--guidance", type=number(float), metavar="G", help="guidance scale (default: 5)")
    command.add_argument("--steps", type=number(int), metavar="N", help="sampler steps (default: 25)")
    command.add_argument(
        "--photo", nargs="+", type=Path, default=[], metavar="PHOTO", help="what an embedding file was learned from"
    )
    command.add_argument(
        "--truth", nargs="+", type=Path, default=[], metavar="PHOTO", help="other true views, for psnr, ssim and others"
    )
    command.add_argument("--swap", metavar="OLD=NEW", help="the word that word-swap swaps")
    command.add_argument("--class-word", metavar="WORD", help="what clip-t's text calls the thing (default: nothing)")
    command.add_argument("--weights", metavar="FOLDER", help="folder of LPIPS's and SIFID's published weight files")
    command.add_argument("--clip", metavar="NAME", help="CLIP, transformers folder or hub name (default: the model's)")
    command.add_argument("--dino", metavar="NAME", help="DINO, likewise (default: facebook/dino-vits16)")
    command.add_argument("--dinov2", metavar="NAME", help="DINOv2, likewise (default: facebook/dinov2-base)")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="write every score with its protocol there")
    add_model(command)
    add_json(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.list:
        return _list(args)
    if not args.runs:
        raise UserError("no run was given; write photowords evaluate RUN")
    if args.photo and all(path.is_dir() for path in args.runs):
        raise UserError("--photo goes with an embedding file; a run folder has its own photos")
    from photowords import evaluation, files, images

    metrics = [name.strip() for name in args.metrics.split(",")] if args.metrics else None
    evaluation.check(metrics or ())
    photos, truth = ([images.load_photo(path) for path in paths] for paths in (args.photo, args.truth))
    if args.out:  # what cannot be written is said before anything is sampled
        if args.out.is_dir():
            raise UserError(f"--out {args.out} is a folder; name a file, such as {args.out / 'scores.json'}")
        files.make_folder(args.out.parent)
    subjects = [_open(path, bool(photos)) for path in args.runs]
    rows = [_evaluate(args, *subject, metrics, photos, truth) for subject in subjects]
    result = {"runs": _finite(rows)}
    if args.out:
        files.write_json(args.out, result)
    _show(args, rows)
    return result


def _open(path: Path, has_photo: bool) -> tuple[Path, Any, Any]:
    """Path, concept, and its Run where it is a run folder."""
    from photowords import formats
    from photowords.inversion import Run

    concept = formats.read(path)
    if not path.is_dir() and not has_photo:
        raise UserError(f"{path} is not a run folder; name the photo it was learned from with --photo")
    return path, concept, Run.open(path) if path.is_dir() else None


def _evaluate(
    args: argparse.Namespace, path: Path, concept: Any, run: Any, metrics: list[str] | None, photos: Any, truth: Any
) -> dict[str, Any]:
    """One run or embedding file, scored: plain JSON values."""
    from photowords import evaluation

    backbone = _backbone(args.model or (str(run.about["model"]) if run else "pocket"), args.device, args.dtype)
    protocol = _protocol(args, run.settings.kind if run else "object")
    names = metrics or [*(["held-out-loss"] if run else []), *evaluation.default_metrics(backbone)]
    sources = {name: value for name in ("clip", "dino", "dinov2", "weights") if (value := getattr(args, name))}
    if run:
        scores = evaluation.evaluate_run(backbone, run, names, protocol, truth, sources)
    else:
        scores = {"learned": evaluation.evaluate(backbone, concept, photos, names, protocol, truth, sources)}
    return {
        "run": str(path),
        "name": concept.name,
        "sentence": concept.sentence,
        "step": concept.provenance.get("step"),
        "model": backbone.name,
        "protocol": dataclasses.asdict(protocol),
        "scores": {
            which: {name: dataclasses.asdict(score) for name, score in found.items()} for which, found in scores.items()
        },
    }


@functools.lru_cache(maxsize=1)
def _backbone(model: str, device: str, dtype: str) -> Any:
    """Kept for the next run: most evaluations are of runs of one model."""
    from photowords import backbones

    return backbones.load(model, device, dtype)


def _protocol(args: argparse.Namespace, kind: str) -> Any:
    from photowords.evaluation import Protocol

    base = Protocol.of_kind(kind)
    sampler = {name: getattr(args, name) for name in ("steps", "guidance") if getattr(args, name) is not None}
    given = {name: getattr(args, name) for name in ("samples", "swap", "class_word") if getattr(args, name) is not None}
    return dataclasses.replace(base, settings=dataclasses.replace(base.settings, **sampler), **given)


def _list(args: argparse.Namespace) -> dict[str, Any]:
    from photowords.metrics import METRICS

    for metric in METRICS.values():
        say(args, f"{metric.name}  {metric.direction} is better, {metric.range}")
        say(args, f"    {metric.compares}: {metric.protocol}")
    return {"metrics": {name: dataclasses.asdict(metric) for name, metric in METRICS.items()}}


def _show(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """One table: a line for each run's start and one for what it learned, the metrics across."""
    from rich.console import Console
    from rich.table import Table

    from photowords.metrics import METRICS

    names = list(dict.fromkeys(name for row in rows for scores in row["scores"].values() for name in scores))
    table = Table("run", "", caption="mean ± sample standard deviation over pictures, or over held-out tuples")
    for name in names:
        table.add_column(f"{name} {METRICS[name].arrow}".replace("-", "-\n"), justify="right", overflow="fold")
    for row in rows:
        for which, scores in row["scores"].items():
            first = which == next(iter(row["scores"]))
            cells = [_cell(scores.get(name)) for name in names]
            table.add_row(Path(row["run"]).name if first else "", which, *cells)
        table.add_section()
    stream = sys.stderr if args.json else sys.stdout
    width = None if stream.isatty() else 200
    Console(file=stream, width=width, markup=False, emoji=False).print(table)  # a folder may be called [red]


def _finite(value: Any) -> Any:
    """The same with None for a number that JSON has not: the PSNR of identical pictures is infinite."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return "–"
    return f"{score['value']:.4g}" + ("" if score["spread"] is None else f" ±{score['spread']:.2g}")
