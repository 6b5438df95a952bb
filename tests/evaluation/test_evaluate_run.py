"""evaluate_run(): a run beside its start."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter

from photowords import formats
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.evaluation import evaluate_run, measures
from photowords.inversion import Run
from photowords.inversion.views import framed
from photowords.settings import InvertSettings
from tests.evaluation.fast import FAST, call


def test_a_runs_held_out_loss_is_the_loops_own(pocket_model: Backbone, run: Any) -> None:
    names = ["held-out-gain", "held-out-loss"]
    scores = evaluate_run(pocket_model, run, names)
    recorded = [row["held_out"] for row in run.losses() if "held_out" in row]
    found = [scores[which]["held-out-loss"].value for which in ("start", "learned")]
    assert found == pytest.approx(recorded, rel=1e-5)
    assert list(scores["learned"]) == names and "held-out-gain" not in scores["start"]
    gain = scores["learned"]["held-out-gain"]
    assert gain.value == pytest.approx(found[0] - found[1], abs=1e-6) and gain.samples == 6
    assert gain.spread and gain.standard_error == pytest.approx(gain.spread / 6**0.5)
    difference = scores["difference"]["held-out-loss"]
    assert difference.value == pytest.approx(-gain.value) and difference.standard_error == gain.standard_error
    unpaired = scores["start"]["held-out-loss"].standard_error
    assert unpaired and gain.standard_error and gain.standard_error < unpaired / 10, "paired"
    thirds = [gain.parts[third] or 0.0 for third in ("little_noise", "middling_noise", "much_noise")]
    assert sum(thirds) / 3 == pytest.approx(gain.value, abs=1e-7)


def test_a_difference_is_paired_by_prompt_and_seed(
    pocket_model: Backbone, run: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learned concept's pictures are each a little sharper than the start's of the same prompt and seed."""
    drawn = []

    def generate(backbone: Any, prompt: Any, concepts: Any, seeds: Any, settings: Any) -> Any:
        drawn.append(prompt)
        radius = 4 * (drawn[: len(drawn)].count(prompt) == 1) + (6 if "good" in prompt else 0)
        return [mug.filter(ImageFilter.GaussianBlur(8 + 12 * seed + radius)) for seed in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, samples=3, prompts=("a photo of a {}", "a good photo of a {}"))
    found = evaluate_run(pocket_model, run, ["psnr"], protocol, truth=[mug])
    start, learned, difference = (found[which]["psnr"] for which in ("start", "learned", "difference"))
    assert difference.value == pytest.approx(learned.value - start.value) and difference.value > 0
    assert (difference.samples, difference.seeds) == (6, 3)
    assert difference.standard_error and start.standard_error
    assert difference.standard_error < start.standard_error / 2 and difference.how.startswith("paired difference over")


def test_a_run_is_measured_in_the_suite_asked_for(pocket_model: Backbone, run: Any, weight_folder: Any) -> None:
    sources = {"weights": str(weight_folder)}
    found = evaluate_run(pocket_model, run, ["sifid"], FAST, sources=sources, suite="published")
    assert list(found["start"]) == list(found["learned"]) == list(found["difference"]) == ["sifid"]
    assert "192 features" in found["learned"]["sifid"].how


def made(folder: Path, photo: Image.Image, concept: Concept, masks: Sequence[Image.Image] = (), **told: Any) -> Run:
    """A run that has learned nothing yet, and whose concept is its start."""
    facts: dict[str, Any] = {**concept.provenance, "masks": [{"segmenter": "file"} for _ in masks]} if masks else {}
    start = dataclasses.replace(concept, provenance=facts)
    settings = InvertSettings(steps=2, held_out=6, **told)
    run = Run.create(folder, settings, {"model": "pocket"}, [photo], start, masks)
    formats.write(start, run.concept_file)
    return run


def test_pictures_of_what_is_marked_are_compared_with_the_square_around_it(
    pocket_model: Backbone, mug_concept: Concept, mug: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = Image.new("L", mug.size)
    mask.paste(255, (60, 60, 160, 160))
    marked = framed(mug, mask)
    assert marked.width < mug.width
    monkeypatch.setattr(measures, "generate", lambda *told: [marked for _ in told[3]])
    found = evaluate_run(pocket_model, made(tmp_path / "run", mug, mug_concept, [mask]), ["pocket-lpips"], FAST)
    assert [found[which]["pocket-lpips"].value for which in ("start", "learned")] == pytest.approx([0, 0], abs=1e-6)


def test_the_run_of_a_style_is_measured_by_the_prompts_of_styles(
    pocket_model: Backbone, mug_concept: Concept, mug: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(measures, "generate", lambda *told: drawn.append(told[1]) or [mug for _ in told[3]])
    run = made(tmp_path / "run", mug, mug_concept, learnable_property="style")
    evaluate_run(pocket_model, run, ["pocket-lpips"])
    assert set(drawn) == {"a painting in the style of {it}"}
    (row,) = call(run.folder, "--metrics", "pocket-lpips", "--samples", 1)["runs"]
    assert row["protocol"]["prompts"] == ["a painting in the style of {}"]
    assert row["protocol"]["edits"][0] == "a cat in the style of {}"
