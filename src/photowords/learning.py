"""From photos to a run folder: the whole job, as the command line, the demo and scripts use it."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from photowords import __version__, files, images, segmentation
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.generation import generate
from photowords.initializers import start
from photowords.inversion import Run, Step, invert
from photowords.inversion.run import FORMAT, check_free
from photowords.inversion.views import square
from photowords.settings import GenerateSettings, InvertSettings
from photowords.starts import Start
from photowords.templates import templates

SAMPLE_SEEDS = (0, 1, 2, 3)


class Clock:
    """Seconds by phase; ``spent`` are those of before."""

    def __init__(self, spent: Mapping[str, float] | None = None) -> None:
        self._spent = dict(spent or {})
        self._running: tuple[str, float] | None = None

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        self._running = phase, time.perf_counter()
        try:
            yield
        finally:
            self._spent, self._running = self.seconds, None

    @property
    def seconds(self) -> dict[str, float]:
        """So far, the running phase included."""
        if self._running is None:
            return dict(self._spent)
        phase, began = self._running
        return {**self._spent, phase: round(self._spent.get(phase, 0.0) + time.perf_counter() - began, 3)}


def learn(
    backbone: Backbone,
    photo_files: Sequence[Path],
    out: Path,
    init: Start | str = "caption",
    name: str = "concept",
    settings: InvertSettings | None = None,
    samples: int = 4,
    on_step: Callable[[Step, Concept], None] | None = None,
    spent: Mapping[str, float] | None = None,
    selections: Sequence[segmentation.Selection | None] = (),
) -> dict[str, Any]:
    """Invert photos into a new run folder and return its summary (see ``summary``).

    ``selections``, one for each photo or none at all: the object to learn. The first one's object is what the
    sentence describes, and each is what the loss looks at (see ``InvertSettings.background_weight``).
    ``samples`` pictures of "a photo of a {name}" are drawn before and after, seeds 0, 1, ...; ``on_step`` is
    called after each step with the concept at step 0; ``spent`` are seconds to count as well.
    Raises UserError on bad input, before anything is written.
    """
    settings = settings or InvertSettings()
    if not 0 <= samples <= len(SAMPLE_SEEDS):
        raise UserError(f"`samples` is {samples}, but it must be from 0 to {len(SAMPLE_SEEDS)}")
    if not photo_files:
        raise UserError("no photo was given; one is enough")
    check_free(out)
    clock = Clock(spent)
    with clock("read"):
        photos = [images.load_photo(path) for path in photo_files]
        hashes = [images.sha256(path) for path in photo_files]
        chosen: list[segmentation.Selection | None] = [*selections] or [None] * len(photos)
        if len(chosen) != len(photos):
            raise UserError(f"there are {len(chosen)} selections for {len(photos)} photos; give one for each, or None")
        masks = [each.mask if each else None for each in chosen]
        for photo, mask in zip(photos, masks, strict=True):
            square(photo, mask, settings.resize)  # raises for a mask that does not fit
        concept = start(init, photos, backbone, name, masks[0])
        concept = dataclasses.replace(
            concept,
            provenance={
                **concept.provenance,
                "photos_sha256": hashes,
                **({"masks": [each and each.provenance() for each in chosen]} if any(chosen) else {}),
                "settings": dataclasses.asdict(settings),
                **_here(backbone),
            },
        )
    about = {
        "name": name,
        "sentence": concept.sentence,
        "init": concept.provenance["init"],
        "model": backbone.source,
        "samples": samples,
        **_here(backbone),
    }
    overlay = [
        segmentation.overlay(photo, each.mask, each.clicks) for photo, each in zip(photos, chosen, strict=True) if each
    ]
    run = Run.create(out, settings, about, photos, concept, masks, images.side_by_side(overlay) if overlay else None)
    return _advance(run, backbone, concept, None, clock, on_step)


def go_on(
    run: Run,
    backbone: Backbone,
    steps: int | None = None,
    on_step: Callable[[Step, Concept], None] | None = None,
) -> dict[str, Any]:
    """Continue a run from its last checkpoint, to the same bits as if it had never stopped.

    ``steps`` may ask for more than the run was made for. The same bits hold for the same device and version of
    PyTorch; others are warned about. Raises UserError when the backbone is another one or in another precision,
    and when the run already has more than ``steps``.
    """
    if run.format != FORMAT:
        raise UserError(
            f"{run.folder} was begun by an older photowords, which drew other noise; its concept can be used, but to "
            "learn on, begin again in another folder"
        )
    here = _here(backbone)
    made = (run.about["model"], run.about["dtype"])
    if made != (backbone.source, here["dtype"]):
        raise UserError(
            f"{run.folder} was made with `model` {made[0]} in {made[1]}, not {backbone.source} in {here['dtype']}; "
            "resume with the same"
        )
    for what in ("device", "torch"):
        if run.about[what] != here[what]:
            warnings.warn(
                f"the run was begun with {what} {run.about[what]} and goes on with {here[what]}; "
                "the result may differ in its last bits",
                PhotowordsWarning,
                stacklevel=2,
            )
    last = run.last_step()
    if steps is not None and steps != run.settings.steps:
        if last is not None and steps < last.index:
            raise UserError(f"{run.folder} already has {last.index} steps; ask for at least as many")
        run.extend(steps)
        last = run.last_step()
    return _advance(run, backbone, run.start(), last, Clock(run.seconds()), on_step)


def _here(backbone: Backbone) -> dict[str, str]:
    """What the last bits of a run depend on, beside its settings."""
    return {
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "device": backbone.device.type,
        "torch": str(torch.__version__),
        "photowords": __version__,
    }


def _advance(
    run: Run,
    backbone: Backbone,
    start_concept: Concept,
    resume: Step | None,
    clock: Clock,
    on_step: Callable[[Step, Concept], None] | None,
) -> dict[str, Any]:
    samples = run.about["samples"]
    if samples and not (run.folder / "samples" / "step_000000.png").exists():
        with clock("samples"):
            _sample(run, backbone, start_concept, samples)
    last = resume
    steps = invert(backbone, start_concept, run.photos(), run.settings, resume, run.masks())
    with clock("invert"):
        try:
            for step in steps:
                run.record(step)
                if step.held_out is not None:
                    files.write_json(run.folder / "seconds.json", clock.seconds)
                last = step
                if on_step:
                    on_step(step, start_concept)
        except BaseException:  # a loss that is not finite, Ctrl-C, a full disk: what was reached is kept
            if last is not None and last is not resume:
                run.keep(last)
                files.write_json(run.folder / "seconds.json", clock.seconds)
            raise
    assert last is not None
    if samples:
        with clock("samples"):
            _sample(run, backbone, last.concept, samples)
    run.plot()
    result = summary(run, clock.seconds)
    begin, *later = result["held_out_loss"]["curve"]
    if above := [str(row["step"]) for row in later if row["loss"] > begin["loss"]]:
        warnings.warn(
            f"the held-out loss after step {', '.join(above)} lies above the start's: learning took something back "
            "there; a lower `lr` may help",
            PhotowordsWarning,
            stacklevel=2,
        )
    files.write_json(run.folder / "seconds.json", clock.seconds)
    files.write_json(run.folder / "result.json", result)
    return result


def _sample(run: Run, backbone: Backbone, concept: Concept, count: int) -> None:
    step = int(concept.provenance["step"])
    prompt = templates(run.settings.kind)[0].format(f"{{{concept.name}}}")
    pictures = generate(backbone, prompt, [concept], SAMPLE_SEEDS[:count], GenerateSettings())
    images.save_png(images.side_by_side(pictures), run.folder / "samples" / f"step_{step:06d}.png")


def summary(run: Run, seconds: dict[str, float]) -> dict[str, Any]:
    """What came out of a run, as plain JSON values, with how each number was obtained."""
    rows = run.losses()
    concept = run.start()
    curve = [{"step": row["step"], "loss": row["held_out"]} for row in rows if "held_out" in row]
    return {
        "name": concept.name,
        "sentence": concept.sentence,
        "words": [{"name": name, "text": word.text} for name, word in zip(concept.names, concept.words, strict=True)],
        "held_out_loss": {
            "start": curve[0]["loss"],
            "final": curve[-1]["loss"],
            "curve": curve,
            "how": f"mean over {run.settings.held_out} fixed (timestep, noise, template) tuples",
        },
        "sample_steps": rows[-1]["sample_steps"],
        "seed": run.settings.seed,
        "model": run.about["model"],
        "seconds": seconds,
        "concept": str(run.concept_file),
        "run": str(run.folder),
    }
