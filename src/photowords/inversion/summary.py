"""What came out of a run, to look at and to read on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photowords import plots
from photowords.inversion.run import Run


def plot(run: Run) -> Path:
    """Draw both losses against steps as ``loss.png``."""
    rows = run.losses()
    training = [(row["step"], row["loss"]) for row in rows if row["loss"] is not None]
    held_out = [(row["step"], row["held_out"]) for row in rows if "held_out" in row]
    # Two panels: single training losses spread over twenty times the range that the held-out loss covers.
    with plots.canvas(plots.HALF, 3.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.4, 1))
        above.plot(*zip(*held_out, strict=True), color=plots.COLOURS[0], marker="o")
        above.set(ylabel="held-out loss", title=str(run.about.get("sentence", "")))
        if training:
            steps, losses = zip(*training, strict=True)
            below.scatter(steps, losses, s=3, color=plots.PALE, label="each step")
            window = min(25, len(losses))
            means = [sum(losses[i : i + window]) / window for i in range(len(losses) - window + 1)]
            below.plot(steps[window - 1 :], means, color=plots.COLOURS[1], label=f"mean of the last {window}")
            below.legend()
        below.set(xlabel="steps", ylabel="training loss", ylim=(0, None))
    target = run.folder / "loss.png"
    plots.write_png(figure, target)
    return target


def summary(run: Run, seconds: Mapping[str, float]) -> dict[str, Any]:
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
        "seconds": dict(seconds),
        "concept": str(run.concept_file),
        "run": str(run.folder),
    }
