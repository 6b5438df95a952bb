"""photowords invert: one photo in, a learned sentence out."""

from __future__ import annotations

import argparse
import shlex
import time
from contextlib import closing
from typing import Any

from photowords import follow, jobs
from photowords.cli import each
from photowords.cli.bar import Bar
from photowords.cli.options import a_name, a_path, add_fields, add_json, add_model, add_offload, given, number, say
from photowords.cli.reading import model_for, read
from photowords.cli.selection import add_selection, selected
from photowords.cli.words import add_starts, chosen, options_of
from photowords.errors import UserError
from photowords.fields import fields
from photowords.jobs import SAMPLES_AT, Job
from photowords.recipes import RECIPES, explained, named, recipe
from photowords.settings import InvertSettings, check_name
from photowords.starts import STARTS, Start, Words


def add(commands: Any) -> None:
    command = commands.add_parser(
        "invert",
        help="learn the thing in a photo: a sentence, each word of it tuned",
        description="Turn a photo into a sentence, make each of its words a placeholder, and tune the placeholders "
        "until the frozen model draws what the photo shows. Leaves a run folder with the learned concept.",
    )
    command.add_argument("photos", nargs="*", type=a_path, metavar="PHOTO", help="the photo; several of one thing work")
    command.add_argument("--out", type=a_path, required=True, metavar="RUN", help="run folder to make (or to resume)")
    command.add_argument(
        "--init",
        type=a_name,
        metavar="START",
        help="where the words come from (default: words where --words is given, else caption). "
        + " ".join(f"{init}: {cls.__doc__}" for init, cls in STARTS.items()),
    )
    command.add_argument("--name", help="how prompts will call it: {NAME} (default: concept)")
    command.add_argument(
        "--samples",
        type=number(int),
        metavar="N",
        help="sample pictures before and after, 0 to 4 (default: 4)",
    )
    command.add_argument(
        "--samples-at",
        choices=SAMPLES_AT,
        help="when to sample them: before and after, or at each held-out loss too (default: ends)",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in RUN, to the same bits as if never stopped (on a GPU but for rounding)",
    )
    each.add_options(command)
    learning = command.add_argument_group("learning")
    learning.add_argument(
        "--recipe",
        type=a_name,
        metavar="NAME",
        help=f"the settings, precision and start of a recipe, what you give wins: {', '.join(RECIPES)}",
    )
    add_fields(learning, fields(InvertSettings).values())
    add_selection(command)
    add_starts(command, STARTS.values(), fields(InvertSettings))
    add_model(command)
    add_offload(command)
    add_json(command)
    command.set_defaults(run=run)


ABOUT = ("name", "init", "model", "samples", "samples_at")
OPTIONS = options_of(STARTS.values())
STARTING = ("recipe", "click", "off", "box", "mask", "segmenter", *(set(OPTIONS) - {"words", "seed"}))
"""What only the beginning of a run looks at."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    if not args.resume and not args.photos:
        raise UserError("no photo was given; write photowords invert PHOTO --out RUN")
    each.check(args)
    jobs.check_samples(args.samples or 0)  # before a model is loaded
    if args.evaluate_every is not None and args.evaluate_at is not None:
        raise UserError("`evaluate_every` means nothing beside `evaluate_at`; leave one of them out")
    if args.samples_at is not None and args.samples == 0:
        raise UserError("`samples_at` means nothing where `samples` is 0; leave one of them out")
    told = given(args, fields(InvertSettings))
    if args.resume:
        for option in STARTING:
            if getattr(args, option) is not None:
                raise UserError(f"`{option}` is for the beginning of a run; resume it without")
    else:
        settings = _settings(args, told)
        args.samples_at = args.samples_at or SAMPLES_AT[0]
        start = chosen(args, args.init or ("caption" if args.words is None else "words"), OPTIONS)
        if args.background_weight is not None and not (args.mask or args.click or args.off or args.box):
            raise UserError("--background-weight needs a selected object: add --click, --box or --mask")
        if args.each:
            return each.run(args, settings, start)
    try:
        with Bar(args) as bar:
            result = _resume(args, told, bar) if args.resume else _begin(args, settings, start, bar)
    except KeyboardInterrupt:  # also a stop that was asked for through the folder
        if not (args.out / follow.SETTINGS).exists():  # nothing was begun
            raise
        again = f"photowords invert --out {shlex.quote(str(args.out))} --resume"
        raise KeyboardInterrupt(f"stopped; go on with: {again}") from None
    if (drawn := args.out / "overlay.png").exists():
        say(args, f"object         {drawn}")
    losses = result["held_out_loss"]
    say(args, f"held-out loss  {losses['start']:.4f} -> {losses['final']:.4f}  ({losses['how']})")
    counted = f"{result['sample_steps']} sample-steps (steps x batch, and one for each held-out draw)"
    say(args, f"cost           {counted}, {sum(result['seconds'].values()):.1f} s")
    say(args, f"concept        {result['concept']}")
    learned = read(args.out)
    scene = " on the beach" if learned.learnable_property == "object" else ""
    prompt = learned.example(f"{{{learned.name}}}") + scene
    model = "" if result["model"] == "pocket" else f" --model {shlex.quote(result['model'])}"
    say(
        args,
        f'next           photowords generate{model} --concept {shlex.quote(str(args.out))} "{prompt}" --out pictures',
    )
    return result


def _settings(args: argparse.Namespace, told: dict[str, Any]) -> InvertSettings:
    """The settings that the user told, over those of ``--recipe``, whose precision and start count where no other is
    asked for."""
    if args.recipe is None:
        return InvertSettings(**told)
    settings, chosen = recipe(args.recipe, **told), named(args.recipe)
    say(args, f"recipe         {args.recipe}: {explained(args.recipe)}")
    if args.dtype == "auto":
        args.dtype = chosen.precision or "auto"
    if args.words is None:
        args.init = args.init or chosen.init
    return settings


def _begin(args: argparse.Namespace, settings: InvertSettings, start: Start, bar: Bar) -> dict[str, Any]:
    from photowords import backbones, images, learning
    from photowords.initializers.words import check

    jobs.check_free(args.out)
    if args.name is not None:  # what is wrong is said before a model is fetched
        check_name(args.name)
    if isinstance(start, Words):
        check(start)
    began = time.perf_counter()
    selections = selected(args, args.photos)
    seconds = {"select": round(time.perf_counter() - began, 3)}
    began = time.perf_counter()
    photos = [images.load_photo(path) for path in args.photos]
    backbone = backbones.load(
        model_for(args, photos, [each.mask for each in selections]), args.device, args.dtype, args.offload
    )
    seconds["load"] = round(time.perf_counter() - began, 3)
    samples = jobs.SAMPLES if args.samples is None else args.samples
    bar.begin(settings.steps)
    run = learning.begin(
        backbone, args.photos, args.out, start, args.name, settings, samples, selections, args.samples_at, seconds
    )
    with learning.course(run, backbone) as taken:
        bar.watch(run, taken)
    return run.result()


def _resume(args: argparse.Namespace, told: dict[str, Any], bar: Bar) -> dict[str, Any]:
    """Repeating the run's own options is fine; only --steps may differ."""
    if jobs.is_waiting(args.out):
        return _begin_job(args, bar)
    from photowords import backbones, images, learning
    from photowords.inversion import Run
    from photowords.prompts import typed

    run = Run.open(args.out)
    about = given(args, ABOUT)
    if run.is_of(about.get("model", "auto")):
        about.pop("model", None)
    others = [name for name in told if name != "steps" and not run.settings.means(name, told[name])]
    if others := [*others, *(name for name, value in about.items() if run.about.get(name) != value)]:
        made = {**vars(run.settings), **run.about}.get(name := others[0])
        how = f"without `{name}`" if made is None else f"with `{name}` {made}, not {getattr(args, name)}"
        raise UserError(f"{args.out} was made {how}; resume it without `{name}`")
    hashes = [images.sha256(path) for path in args.photos]
    if hashes and hashes != run.start().provenance["photos_sha256"]:
        raise UserError(f"{args.out} was made from other photos; resume it without naming any")
    if args.words and run.about["sentence"] not in (typed(args.words), typed(args.words, keep_article=True)):
        raise UserError(f"{args.out} was made with the words {run.about['sentence']!r}; resume it without --words")
    dtype = str(run.about["dtype"]) if args.dtype == "auto" else args.dtype
    with follow.hold(args.out):
        backbone = backbones.load(str(run.about["model"]), args.device, dtype, args.offload)
        bar.begin(told.get("steps", run.settings.steps))
        with closing(learning.taken(run, backbone, told.get("steps"))) as taken:
            bar.watch(run, taken)
    return run.result()


def _begin_job(args: argparse.Namespace, bar: Bar) -> dict[str, Any]:
    """Begin what the page asked for; all that there is to say stands in the job."""
    job = Job.read(args.out)
    where = [name for name in ("device", "dtype") if getattr(args, name) != "auto"]
    those = ["photos"] if args.photos else []
    if said := [*given(args, (*fields(InvertSettings), *ABOUT, "words")), *where, *those]:
        raise UserError(f"{args.out} holds a job that has not begun; resume it without `{said[0]}`")
    with follow.hold(args.out):
        from photowords import backbones, learning

        began = time.perf_counter()
        photos, selections = learning.pictures_of(job, args.out)
        masks = [each.mask if each else None for each in selections]
        args.model = job.model
        backbone = backbones.load(model_for(args, photos, masks), job.device, job.dtype, args.offload)
        run = learning.begin_job(backbone, args.out, {"load": round(time.perf_counter() - began, 3)})
        bar.begin(run.settings.steps)
        with closing(learning.taken(run, backbone)) as taken:
            bar.watch(run, taken)
    return run.result()
