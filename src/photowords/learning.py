"""From photos to a run folder: the whole job, as the command line, the demo and scripts use it."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from photowords import files, images
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.generation import generate
from photowords.initializers import Hint, start
from photowords.inversion import Diverged, Run, Step, invert
from photowords.inversion.run import check_free
from photowords.prompts import TEMPLATES
from photowords.settings import GenerateSettings, InvertSettings

SAMPLE_SEEDS = (0, 1, 2, 3)


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = round(self.seconds.get(phase, 0.0) + time.perf_counter() - began, 3)


def learn(
    backbone: Backbone,
    photo_files: Sequence[Path],
    out: Path,
    init: str = "caption",
    hint: Hint | None = None,
    name: str = "concept",
    settings: InvertSettings | None = None,
    samples: int = 4,
    on_step: Callable[[Step, Concept], None] | None = None,
) -> dict[str, Any]:
    """Invert photos into a new run folder and return its summary (see ``summary``).

    ``samples`` pictures of "a photo of a {name}" are drawn before and after, seeds 0, 1, ...; ``on_step`` is
    called after each step with the concept at step 0. Raises UserError on bad input, before anything is written.
    """
    settings, hint = settings or InvertSettings(), hint or Hint()
    check_free(out)
    clock = Clock()
    with clock("read"):
        photos = [images.load_photo(path) for path in photo_files]
        hashes = [images.sha256(path) for path in photo_files]
        for path, photo in zip(photo_files, photos, strict=True):
            if not backbone.is_familiar(images.to_tensor(photo, backbone.picture_size)):
                warnings.warn(
                    f"{path.name} lies outside the small world that {backbone.name} knows; expect a poor likeness "
                    "(real photos want a real model: --model sd15)",
                    PhotowordsWarning,
                    stacklevel=2,
                )
        concept = start(init, photos, backbone, hint, name)
        concept = dataclasses.replace(
            concept,
            provenance={**concept.provenance, "photos_sha256": hashes, "settings": vars(settings)},
        )
    about = {
        "name": name,
        "sentence": concept.sentence,
        "init": init,
        "model": backbone.name,
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "samples": samples,
    }
    run = Run.create(out, settings, about, photos, concept)
    return _advance(run, backbone, concept, None, clock, on_step)


def go_on(
    run: Run,
    backbone: Backbone,
    steps: int | None = None,
    on_step: Callable[[Step, Concept], None] | None = None,
) -> dict[str, Any]:
    """Continue a run from its last checkpoint, to the same bits as if it had never stopped.

    ``steps`` may ask for more than the run was made for. Raises UserError when the backbone is another one.
    """
    dtype = str(backbone.dtype).removeprefix("torch.")
    made = (run.about["model"], run.about["dtype"])
    if made != (backbone.name, dtype):
        raise UserError(
            f"{run.folder} was made with --model {made[0]} in {made[1]}, not {backbone.name} in {dtype}; "
            "resume with the same"
        )
    if steps is not None:
        run.settings = dataclasses.replace(run.settings, steps=steps)
    return _advance(run, backbone, run.start(), run.last_step(), Clock(), on_step)


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
    steps = invert(backbone, start_concept, run.photos(), run.settings, resume)
    with clock("invert"):
        try:
            for step in steps:
                run.record(step)
                last = step
                if on_step:
                    on_step(step, start_concept)
        except Diverged:
            if last is not None:
                run.keep(last)
            raise
    assert last is not None
    if samples:
        with clock("samples"):
            _sample(run, backbone, last.concept, samples)
    run.plot()
    result = summary(run, clock.seconds)
    files.write_json(run.folder / "result.json", result)
    return result


def _sample(run: Run, backbone: Backbone, concept: Concept, count: int) -> None:
    step = int(concept.provenance["step"])
    prompt = TEMPLATES[run.settings.kind][0].format(f"{{{concept.name}}}")
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
        "placeholders": [
            {"name": n, "word": p.word} for n, p in zip(concept.names(), concept.placeholders, strict=True)
        ],
        "held_out_loss": {
            "start": curve[0]["loss"],
            "final": curve[-1]["loss"],
            "curve": curve,
            "how": f"mean over {run.settings.held_out} fixed (timestep, noise, template) tuples",
        },
        "sample_steps": rows[-1]["sample_steps"],
        "seed": run.settings.seed,
        "seconds": seconds,
        "concept": str(run.concept_file),
        "run": str(run.folder),
    }
