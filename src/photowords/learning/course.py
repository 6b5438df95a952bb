"""The steps of a run, each kept as it is taken: until its end, until it is stopped, or until something fails."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import torch
from PIL.Image import Image

from photowords import __version__, files, follow, images, threads
from photowords.backbones import Backbone
from photowords.clock import Clock
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.follow import Stopped
from photowords.generation import generate
from photowords.inversion import Run, Step, invert
from photowords.inversion.run import FORMAT
from photowords.inversion.summary import plot, summary
from photowords.settings import GenerateSettings
from photowords.templates import templates

Inverting = Callable[..., Iterator[Step]]
"""``invert``, or what takes the same and gives the same steps."""
SHOW_EVERY = 1.0  # seconds between what a follower is told of the time taken


@contextmanager
def course(
    run: Run, backbone: Backbone, steps: int | None = None, inverting: Inverting = invert
) -> Iterator[Iterator[Step]]:
    """The steps of a run from where it stands to its end, each taken when it is asked for; this process holds the run.

    A run that was begun goes on from its last checkpoint, to the same bits as if it had never stopped. ``steps`` may
    ask for more than the run was made for. The same bits hold on the CPU, for the same version of PyTorch and as many
    threads, and others are warned about; on a GPU sums of gradients are taken in any order, and bits differ. However
    this ends, what was reached is kept. ``inverting`` makes the steps, as ``invert`` does.

    Raises UserError when another process works on the run, when the backbone is another one, has other word vectors
    than it had, or is in another precision, and when the run already has more than ``steps``; Stopped when it is asked
    to stop through its folder.
    """
    with follow.hold(run.folder), closing(taken(run, backbone, steps, inverting)) as found:
        yield found


def taken(run: Run, backbone: Backbone, steps: int | None = None, inverting: Inverting = invert) -> Generator[Step]:
    """``course`` for a process that holds the run's folder already."""
    run.reread()
    _check_same(run, backbone)
    photos, masks = run.photos(), run.masks()  # raises where one is gone, before anything is changed
    last = run.last_step()
    if last is not None and not any(row["step"] == 0 and "held_out" in row for row in run.losses()):
        raise UserError(
            f"{run.folder} has lost what was measured: its losses.jsonl is missing or damaged; its concept can be "
            "used, but to learn on, begin again in another folder"
        )
    if steps is not None and steps != run.settings.steps:
        if last is not None and steps < last.index:
            raise UserError(f"{run.folder} already has {last.index} steps; ask for at least as many")
        run.extend(steps)
        last = run.last_step()
    (run.folder / follow.RESULT).unlink(missing_ok=True)
    run.save_losses()  # without those after the checkpoint
    yield from _advance(run, backbone, last, photos, masks, Clock(follow.seconds(run.folder)), inverting)


def _check_same(run: Run, backbone: Backbone) -> None:
    """Raise UserError unless the run can go on with this backbone; warn where its last bits may differ."""
    if run.format != FORMAT:
        raise UserError(
            f"{run.folder} was begun by an older photowords, which learned otherwise; its concept can be used, "
            "but to learn on, begin again in another folder"
        )
    now = here(backbone)
    made = (run.about["model"], run.about["dtype"])
    if made != (backbone.source, now["dtype"]):
        raise UserError(
            f"{run.folder} was made with `model` {made[0]} in {made[1]}, not {backbone.source} in {now['dtype']}; "
            "resume with the same"
        )
    if run.start().provenance.get("fingerprint", backbone.fingerprint) != backbone.fingerprint:
        raise UserError(
            f"{run.folder} was begun when the word vectors of {backbone.name} were others; to learn on, begin again in "
            "another folder"
        )
    both = {what: (run.about[what], now[what]) for what in ("device", "torch")}
    was, are = run.about.get("threads"), now["threads"]  # older runs do not say
    if was and are and was != are:
        many = int(_cells(run, backbone) > threads.FEW)
        both["threads"] = was[many], are[many]
    for what, (old, new) in both.items():
        if old != new:
            warnings.warn(
                f"the run was begun with {what} {old} and goes on with {new}; the result may differ in its last bits",
                PhotowordsWarning,
                stacklevel=2,
            )


def here(backbone: Backbone) -> dict[str, Any]:
    """What the last bits of a run depend on, beside its settings.

    "threads" are those of a step of few latent cells and of one of many, and None where the CPU computes nothing.
    """
    on_cpu = backbone.device.type == "cpu"
    return {
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "device": backbone.device.type,
        "torch": str(torch.__version__),
        "photowords": __version__,
        "threads": [threads.of_step(threads.FEW), threads.of_step(threads.FEW + 1)] if on_cpu else None,
    }


def _cells(run: Run, backbone: Backbone) -> int:
    """Latent cells of a step of the run."""
    picture = torch.zeros(1, 3, backbone.picture_size, backbone.picture_size)
    return run.settings.batch * backbone.encode_picture(picture).mean[:, :1].numel()


def _advance(
    run: Run,
    backbone: Backbone,
    resume: Step | None,
    photos: Sequence[Image],
    masks: Sequence[Image | None],
    clock: Clock,
    inverting: Inverting,
) -> Generator[Step]:
    last, shown = resume, 0.0
    on_the_way = run.about.get("samples_at") == "checkpoints"
    with clock("invert"):
        if resume is None:  # before anything is learned: what the words alone draw is looked at first
            _sample(run, backbone, run.start(), clock)
        elif on_the_way and resume.index and "held_out" in run.losses()[-1]:  # it was stopped while these were drawn
            _sample(run, backbone, resume.concept, clock)
        try:
            for step in inverting(backbone, run.start(), photos, run.settings, resume, masks):
                run.record(step)
                last = step
                if on_the_way and step.held_out is not None and step.index:
                    _sample(run, backbone, step.concept, clock)
                if step.held_out is not None or time.monotonic() - shown > SHOW_EVERY:
                    shown = time.monotonic()
                    files.write_json(run.folder / follow.SECONDS, clock.seconds)
                yield step
                if step.index < run.settings.steps and follow.asked_to_stop(run.folder) is not None:
                    raise Stopped(f"stopped at step {step.index}")
        except BaseException:  # a loss that is not finite, Ctrl-C, a full disk: what was reached is kept
            if last is not None and last is not resume:
                run.keep(last)
                files.write_json(run.folder / follow.SECONDS, clock.seconds)
            raise
    assert last is not None
    _sample(run, backbone, last.concept, clock)
    plot(run)
    result = summary(run, clock.seconds)
    begin, *later = result["held_out_loss"]["curve"]
    if above := [str(row["step"]) for row in later if row["loss"] > begin["loss"]]:
        warnings.warn(
            f"the held-out loss after step {', '.join(above)} lies above the start's: learning took something back "
            "there; a lower `lr` may help",
            PhotowordsWarning,
            stacklevel=2,
        )
    files.write_json(run.folder / follow.SECONDS, clock.seconds)
    files.write_json(run.folder / follow.RESULT, result)


def _sample(run: Run, backbone: Backbone, concept: Concept, clock: Clock) -> None:
    """Draw the pictures of a step, unless they are there."""
    count, step = run.about["samples"], int(concept.provenance["step"])
    file = run.samples(step)
    if not count or file.exists():
        return
    with clock("samples"):
        prompt = templates(run.settings.learnable_property)[0].format(f"{{{concept.name}}}")
        pictures = generate(backbone, prompt, [concept], range(count), GenerateSettings())
        images.save_png(images.side_by_side(pictures), file)
