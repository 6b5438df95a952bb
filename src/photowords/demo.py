"""The whole method in one picture: photo, sentence, step 0, learned, a swapped word, the loss."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image, Resampling

from photowords import backbones, files, follow, formats, images, plots, pocket
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.generation import generate
from photowords.inversion import Run, Step
from photowords.learning import begin, course
from photowords.settings import InvertSettings

SWAPS = {
    "checkered": "striped",
    "striped": "checkered",
    "dotted": "striped",
    "star": "heart",
    "heart": "star",
    "square": "star",
    **dict.fromkeys(("teal", "blue", "green", "purple", "black"), "red"),
    **dict.fromkeys(("red", "orange", "yellow", "pink", "white"), "blue"),
}
"""A word of the sentence -> the plain word that the demo puts in its place; the first that occurs is taken."""


def demo(
    out: Path,
    name: str = "mug",
    steps: int = InvertSettings.steps,
    seed: int = 0,
    watch: Callable[[Run, Iterable[Step]], None] | None = None,
) -> dict[str, Any]:
    """Invert a concept of the bundled bank into ``out/run`` and draw ``out/demo.png``.

    ``watch`` takes the run's steps, and may show each; it must come to their end.

    Raises UserError when the bank has no such concept or the folder cannot be used.
    """
    if name not in pocket.concepts():
        raise UserError(f"the bank has no concept {name!r}; choose from {', '.join(pocket.concepts())}")
    began = time.perf_counter()
    files.make_folder(out)
    backbone = backbones.load("pocket")
    photo = pocket.view(name)
    settings = InvertSettings(steps=steps, seed=seed)
    if (out / "run" / follow.SETTINGS).exists():  # an earlier demo, perhaps stopped half-way
        run = Run.open(out / "run")
        if (run.about["name"], run.settings) != (name, settings):
            raise UserError(f"{out} holds a demo of other settings; give another folder as `out`")
    else:
        run = begin(backbone, [photo], out / "run", "caption", name, settings, samples=0)
    with course(run, backbone) as taken:
        watch(run, taken) if watch else deque(taken, maxlen=0)
    result = run.result()
    start, learned = run.start(), formats.read(run.concept_file)
    old = next((word for word in SWAPS if word in learned.texts), None)
    # One seed a column, the same in every row: what differs between rows is the concept alone.
    rows = {
        f'step 0: "{learned.sentence}"': _row(backbone, start, f"{{{name}}}"),
        f"after {steps} steps": _row(backbone, learned, f"{{{name}}}"),
    }
    if old:
        swapped = f"{{{name}:{old}={SWAPS[old]}}}"
        rows[f'learned, with the word "{old}" swapped for "{SWAPS[old]}"'] = _row(backbone, learned, swapped)
    target = out / "demo.png"
    _draw(target, images.load_photo(photo), learned, rows, run)
    seconds = {**result["seconds"], "total": round(time.perf_counter() - began, 1)}
    return {**result, "seconds": seconds, "picture": str(target)}


def _row(backbone: backbones.Backbone, concept: Concept, inside: str) -> list[Image]:
    return [
        generate(backbone, f"a photo of {inside} {scene}", [concept], [seed])[0]
        for seed, scene in enumerate(pocket.SCENES)
    ]


def _draw(target: Path, photo: Image, concept: Concept, rows: Mapping[str, Sequence[Image]], run: Run) -> None:
    with plots.canvas(plots.WHOLE, 1.42 * len(rows) + 0.1) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(1.15, 2.6))
        top, bottom = left.subplots(2, 1, height_ratios=(1.5, 1))
        top.imshow(photo.resize((256, 256), Resampling.LANCZOS))
        top.set_title("one photo")
        top.set_axis_off()
        words = "  ".join(f"<{i}> {word.text}" for i, word in enumerate(concept.words))
        top.text(0.5, -0.03, words, transform=top.transAxes, ha="center", va="top", fontsize=6, wrap=True)
        curve = [(row["step"], row["held_out"]) for row in run.losses() if "held_out" in row]
        bottom.plot(*zip(*curve, strict=True), color=plots.COLOURS[0], marker="o")
        bottom.set_title("held-out loss against steps")
        bands: Any = right.subfigures(len(rows), 1, squeeze=False)
        for band, (title, pictures) in zip(bands.flat, rows.items(), strict=True):
            band.suptitle(title, fontsize=8)
            for axes, picture, scene in zip(band.subplots(1, len(pictures)), pictures, pocket.SCENES, strict=True):
                axes.imshow(picture.resize((256, 256), Resampling.BICUBIC))
                axes.set_title(scene, fontsize=6, color=plots.GREY, pad=2)
                axes.set_axis_off()
    plots.write_png(figure, target)
