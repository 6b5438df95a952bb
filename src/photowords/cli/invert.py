"""photowords invert: one photo in, a learned sentence out."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from photowords.cli.options import add_json, add_model, number, say
from photowords.cli.selection import add_selection, selected
from photowords.cli.words import GOES_WITH, INITS, add_readers, check, hint
from photowords.errors import UserError


def add(commands: Any) -> None:
    command = commands.add_parser(
        "invert",
        help="learn the thing in a photo: a sentence, each word of it tuned",
        description="Turn a photo into a sentence, make each of its words a placeholder, and tune the placeholders "
        "until the frozen model draws what the photo shows. Leaves a run folder with the learned concept.",
    )
    command.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="the photo; several of one thing work")
    command.add_argument("--out", type=Path, required=True, metavar="RUN", help="run folder to make (or to resume)")
    command.add_argument(
        "--init",
        default=None,
        choices=INITS,
        help="where the words come from: the captioner, the classifier, you (--words), '*', or a control that tests "
        "what a caption gains: its words shuffled, as many random words, another picture's caption, the class repeated "
        "(default: caption)",
    )
    command.add_argument("--words", metavar="TEXT", help='your own words for it, such as "red tea kettle"')
    command.add_argument(
        "--stars",
        type=number(int),
        metavar="N",
        help="how many '*' for multi-star (default: as many as the caption has tokens)",
    )
    command.add_argument(
        "--other", type=Path, metavar="PHOTO", help="the picture of other-caption (default: a drawing that ships)"
    )
    command.add_argument("--name", help="how prompts will call it: {NAME} (default: concept)")
    command.add_argument("--kind", help="object or style: the templates to learn in (default: object)")
    command.add_argument("--steps", type=number(int), metavar="N", help="optimiser steps (default: 100)")
    command.add_argument("--batch", type=number(int), metavar="N", help="noise draws a step (default: 4)")
    command.add_argument(
        "--lr", type=number(float), metavar="RATE", help="AdamW's learning rate (default: 0.005 x batch)"
    )
    command.add_argument("--seed", type=number(int), metavar="N", help="of the training noise (default: 0)")
    command.add_argument(
        "--evaluate-every",
        type=number(int),
        metavar="N",
        help="steps between held-out losses and checkpoints (default: 25)",
    )
    command.add_argument("--held-out", type=number(int), metavar="N", help="tuples of the held-out loss (default: 96)")
    command.add_argument(
        "--samples",
        type=number(int),
        metavar="N",
        help="sample pictures before and after, 0 to 4 (default: 4)",
    )
    command.add_argument(
        "--background-weight",
        type=number(float),
        metavar="W",
        help="what the loss outside the selected object counts, 0 to 1 (default: 0.1; 1 when nothing is selected)",
    )
    command.add_argument("--flip", action="store_true", default=None, help="learn from the mirrored photo as well")
    command.add_argument(
        "--resume", action="store_true", help="continue the run in RUN, to the same bits as if never stopped"
    )
    add_selection(command)
    add_readers(command)
    add_model(command)
    add_json(command)
    command.set_defaults(run=run)


TRAINING = ("steps", "batch", "lr", "seed", "kind", "held_out", "evaluate_every", "background_weight", "flip")
ABOUT = ("name", "init", "model", "samples")
STARTING = ("click", "off", "box", "mask", "segmenter", "freeze", *GOES_WITH, "refiner_model", "refiner_instruction")
"""What only the beginning of a run looks at."""
OPTIONS = {"off": "not"}


def run(args: argparse.Namespace) -> dict[str, Any]:
    if not args.resume and not args.photos:
        raise UserError("no photo was given; write photowords invert PHOTO --out RUN")
    if args.samples is not None and not 0 <= args.samples <= 4:
        raise UserError(f"--samples is {args.samples}, but it must be from 0 to 4")
    init = args.init or ("caption" if args.words is None else "words")
    if args.resume:
        for option in STARTING:
            if option != "words" and getattr(args, option) is not None:
                said = OPTIONS.get(option, option).replace("_", "-")
                raise UserError(f"--{said} is for the beginning of a run; resume it without")
    else:
        check(args, init)
        if args.background_weight is not None and not (args.mask or args.click or args.off or args.box):
            raise UserError("--background-weight needs a selected object: add --click, --box or --mask")
    from photowords.settings import InvertSettings

    given = {name: getattr(args, name) for name in TRAINING if getattr(args, name) is not None}
    settings = InvertSettings(**given)
    with Bar(args) as bar:
        result = _resume(args, given, bar) if args.resume else _begin(args, settings, init, bar)
    if (drawn := args.out / "overlay.png").exists():
        say(args, f"object         {drawn}")
    losses = result["held_out_loss"]
    say(args, f"held-out loss  {losses['start']:.4f} -> {losses['final']:.4f}  ({losses['how']})")
    say(args, f"cost           {result['sample_steps']} UNet sample-steps, {sum(result['seconds'].values()):.1f} s")
    say(args, f"concept        {result['concept']}")
    prompt = f"a photo of {{{result['name']}}} on the beach"
    model = "" if result["model"] == "pocket" else f" --model {result['model']}"
    say(
        args,
        f'next           photowords generate{model} --concept {shlex.quote(str(args.out))} "{prompt}" --out pictures',
    )
    return result


def _begin(args: argparse.Namespace, settings: Any, init: str, bar: Bar) -> dict[str, Any]:
    from photowords import backbones, learning
    from photowords.inversion.run import check_free

    check_free(args.out)
    told = hint(args)
    began = time.perf_counter()
    chosen = selected(args, args.photos)
    seconds = {"select": round(time.perf_counter() - began, 3)}
    began = time.perf_counter()
    backbone = backbones.load(args.model or "pocket", args.device, args.dtype)
    seconds["load"] = round(time.perf_counter() - began, 3)
    samples = 4 if args.samples is None else args.samples
    bar.begin(settings.steps)
    name = args.name or "concept"
    return learning.learn(backbone, args.photos, args.out, init, told, name, settings, samples, bar, seconds, chosen)


def _resume(args: argparse.Namespace, given: dict[str, Any], bar: Bar) -> dict[str, Any]:
    """Repeating the run's own options is fine; only --steps may differ."""
    from photowords import backbones, images, learning
    from photowords.inversion import Run
    from photowords.prompts import sentence

    run = Run.open(args.out)
    about = {name: getattr(args, name) for name in ABOUT if getattr(args, name) is not None}
    made = {**vars(run.settings), **run.about}
    for name, value in {**given, **about}.items():
        if name != "steps" and made[name] != value:
            option = name.replace("_", "-")
            raise UserError(
                f"{args.out} was made with --{option} {made[name]}, not {value}; resume it without --{option}"
            )
    hashes = [images.sha256(path) for path in args.photos]
    if hashes and hashes != run.start().provenance["photos_sha256"]:
        raise UserError(f"{args.out} was made from other photos; resume it without naming any")
    if args.words and sentence(args.words) != run.about["sentence"]:
        raise UserError(f"{args.out} was made with the words {run.about['sentence']!r}; resume it without --words")
    backbone = backbones.load(str(run.about["model"]), args.device, args.dtype)
    bar.begin(given.get("steps", run.settings.steps))
    return learning.go_on(run, backbone, given.get("steps"), bar)


class Bar:
    """The sentence before training; then a live bar on stderr: steps, losses, time left. Called with each step; the
    bar is silent where stderr is no terminal."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._task: Any = None
        self._progress: Any = None
        self._held_out = ""

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, steps: int) -> None:
        """Show an empty bar of so many steps."""
        self._task = self._progress.add_task("learning", total=steps, losses="")

    def __call__(self, step: Any, start: Any) -> None:
        if step.index == 0:
            frozen = [word.text for word in start.words if not word.trainable]
            say(self._args, f"sentence       {start.sentence}" + (f"  (frozen: {', '.join(frozen)})" if frozen else ""))
        if step.held_out is not None:
            self._held_out = f"held out {step.held_out.mean():.4f}"
        loss = "" if step.loss is None else f"loss {step.loss:.3f}  "
        self._progress.update(self._task, completed=step.index, losses=loss + self._held_out)
