"""evaluate(): what is sampled and what is recorded."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from PIL import Image, ImageFilter

from photowords import clip, images, pocket
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.evaluation import DEFAULTS, PROMPTS, Protocol, evaluate, measures, scores
from photowords.metrics import METRICS
from photowords.settings import GenerateSettings
from tests.evaluation.fast import FAST, POCKETS
from tests.small_models import words_concept


def test_scores_are_recorded_with_their_protocol(pocket_model: Backbone, mug_concept: Any, mug: Image.Image) -> None:
    scores = evaluate(pocket_model, mug_concept, [mug], DEFAULTS, FAST)
    assert tuple(scores) == POCKETS
    for name, score in scores.items():
        assert score.direction == METRICS[name].direction and score.samples == score.seeds == 2
        assert score.spread is not None and score.standard_error == pytest.approx(score.spread / 2**0.5)
        assert "seeds 0 to 1, 4 steps, guidance 5, scheduler default" in score.how
        prompt = FAST.edits[0] if name.endswith("editability") else FAST.prompts[0]
        assert f'"{prompt}"' in score.how and score.how.split("; ")[1]
    json.loads(json.dumps({name: dataclasses.asdict(score) for name, score in scores.items()}, allow_nan=False))
    assert evaluate(pocket_model, mug_concept, [mug], POCKETS[::-1], FAST) == scores
    one = evaluate(pocket_model, mug_concept, [mug], ["pocket-lpips"], dataclasses.replace(FAST, samples=1))
    assert one["pocket-lpips"].spread is one["pocket-lpips"].standard_error is None
    assert "seeds 0 to 0" in one["pocket-lpips"].how


def test_the_words_of_the_photo_score_better_than_others(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image
) -> None:
    other = words_concept(pocket_model, "purple striped guitar", "it")
    metrics = ["pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction"]
    protocol = dataclasses.replace(FAST, samples=3, settings=GenerateSettings(steps=8))
    right, wrong = (evaluate(pocket_model, concept, [mug], metrics, protocol) for concept in (mug_concept, other))
    for name in metrics:
        sign = 1 if METRICS[name].direction == "higher" else -1
        assert sign * right[name].value > sign * wrong[name].value, name


def test_each_prompt_is_sampled_once_for_all_metrics(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def generate(backbone: Any, prompt: Any, concepts: Any, seeds: Any, settings: Any) -> Any:
        drawn.append((prompt, [concept.name for concept in concepts], list(seeds)))
        return [mug.filter(ImageFilter.GaussianBlur(seed)) for seed in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, swap="checkered=striped")
    scores = evaluate(
        pocket_model, mug_concept, [mug], [*POCKETS, "psnr", "ssim", "pocket-word-swap"], protocol, truth=[mug]
    )
    assert drawn == [
        ("a photo of a {it}", ["it"], [0, 1]),
        ("a photo of a {it} in the snow", ["it"], [0, 1]),
        ("a photo of a {it:checkered=striped}", ["it"], [0, 1]),
        ("a photo of a striped", [], [0, 1]),
    ]
    # Seed 0 is the photo itself.
    spread = scores["pocket-lpips"].spread
    assert spread and scores["pocket-lpips"].value * 2 == pytest.approx(spread * 2**0.5, rel=1e-4)
    assert 0.5 < scores["ssim"].value < 1 and scores["pocket-clip-reconstruction"].value > 0.9


def test_all_pairs_of_photos_and_pictures_count(pocket_model: Backbone, mug_concept: Any, mug: Image.Image) -> None:
    clock = images.load_photo(pocket.view("clock"))
    names = ("pocket-lpips", "pocket-sifid", "pocket-clip-reconstruction")
    one, other, both = (
        evaluate(pocket_model, mug_concept, photos, names, FAST) for photos in ([mug], [clock], [clock, mug])
    )
    for name in names:
        assert one[name].how.endswith("; with 1 photo") and both[name].how.endswith("; with 2 photos")
        assert both[name].value == pytest.approx((one[name].value + other[name].value) / 2, rel=1e-4)


def test_the_default_prompts_are_in_the_pockets_words(pocket_model: Backbone) -> None:
    object_, style = Protocol(), Protocol.for_property("style")
    assert object_ == Protocol.for_property("object") and all("style" in prompt for prompt in style.prompts)
    assert not pocket_model.unknown_words(" ".join((*object_.prompts, *object_.edits)).replace("{}", ""))
    own = Protocol.for_property("style", ["a {}"], ["a {} on a mug"])
    assert (own.prompts, own.edits) == (("a {}",), ("a {} on a mug",))


# --- several prompts ---


def test_lpips_and_sifid_are_averaged_over_the_papers_three_prompts(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, blurred by its seed alone, is the likest; the others are blurred more."""
    paper = ("a photo of {}", "a photo of a {}", "a good photo of a {}")
    assert sorted(PROMPTS["object"]) == sorted(paper) and PROMPTS["object"][0] == "a photo of a {}"
    drawn = []

    def generate(backbone: Any, prompt: Any, concepts: Any, seeds: Any, settings: Any) -> Any:
        drawn.append(prompt)
        return [mug.filter(ImageFilter.GaussianBlur(1 + seed + 4 * drawn.index(prompt))) for seed in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, samples=3, prompts=PROMPTS["object"])
    names = ["lpips", "sifid", "clip-reconstruction", "psnr"]
    together = evaluate(pocket_model, mug_concept, [mug], names, protocol, [mug])
    assert drawn == [prompt.replace("{}", "{it}") for prompt in PROMPTS["object"]]
    alone = [
        evaluate(pocket_model, mug_concept, [mug], names, dataclasses.replace(protocol, prompts=(prompt,)), [mug])
        for prompt in PROMPTS["object"]
    ]
    for name in ("pocket-lpips", "pocket-sifid", "psnr"):
        of_one = torch.tensor([scores[name].value for scores in alone])
        assert together[name].value == pytest.approx(of_one.mean().item(), rel=1e-6) and of_one.std() > 0
        assert (together[name].samples, together[name].seeds, alone[0][name].samples) == (9, 3, 3)
        assert all(f'"{prompt}"' in together[name].how for prompt in PROMPTS["object"])
    assert together["pocket-clip-reconstruction"] == alone[0]["pocket-clip-reconstruction"], "which has but the first"


def test_the_standard_error_is_over_seeds_because_prompts_share_them() -> None:
    def score(name: Any, values: Any) -> Any:
        return scores._Measured(METRICS[name], torch.tensor(values), "how").score()

    lpips = score("lpips-vgg", [[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])  # (prompts, seeds)
    assert (lpips.value, lpips.samples, lpips.seeds, lpips.parts) == (4.0, 6, 3, {})
    assert lpips.spread == pytest.approx(statistics.stdev([1, 2, 6, 3, 4, 8]))
    assert lpips.standard_error == pytest.approx(statistics.stdev([2, 3, 7]) / 3**0.5)
    tuples = score("held-out-loss", [1.0, 2.0, 6.0])
    assert (tuples.samples, tuples.seeds) == (3, None)
    assert tuples.standard_error == pytest.approx(tuples.spread / 3**0.5)
    assert tuples.parts == {"little_noise": 1.0, "middling_noise": 2.0, "much_noise": 6.0}
    one = score("lpips-vgg", [[1.0], [3.0]])
    assert one.spread == pytest.approx(2**0.5) and one.standard_error is None
    endless = score("psnr", [[float("inf"), 3.0]])
    assert endless.value == float("inf") and endless.spread is endless.standard_error is None


def test_likeness_to_the_true_views_is_to_them_alone(
    pocket_model: Backbone, mug_concept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, *views = (images.load_photo(pocket.view("mug", k)) for k in range(5))
    monkeypatch.setattr(measures, "generate", lambda *told: [photo for _ in told[3]])
    names = ["clip-views", "clip-i", "clip-reconstruction"]
    found = evaluate(pocket_model, mug_concept, [photo], names, FAST, views)
    judge = clip.load(str(pocket.CLIP))
    cosines = judge.images(views) @ judge.images([photo])[0]
    assert found["pocket-clip-views"].value == pytest.approx(cosines.mean().item(), abs=1e-6)
    assert 0.5 < found["pocket-clip-views"].value < 0.99
    assert found["pocket-clip-i"].value == found["pocket-clip-views"].value, "of other prompts, here the same pictures"
    assert found["pocket-clip-reconstruction"].value == pytest.approx(1, abs=1e-6), "which is to the photo"
    assert "with 4 true views" in found["pocket-clip-views"].how
    with pytest.raises(UserError, match="pocket-clip-views compares with true views, and none was given"):
        evaluate(pocket_model, mug_concept, [photo], ["clip-views"], FAST)
    others = [images.load_photo(pocket.view("clock", k)) for k in range(1, 5)]
    assert evaluate(pocket_model, mug_concept, [photo], ["clip-views"], FAST, others)["pocket-clip-views"].value < 0.5


class ByColour:
    """A scorer that knows three colours of pictures, and which pattern a text names."""

    def images(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        known: dict[Any, Any] = {
            (255, 0, 0): (1.0, 0.2, 3.0),
            (0, 255, 0): (0.0, 1.0, 3.0),
            (0, 0, 255): (1.0, 0.0, 0.0),
        }
        rows = [known[picture.getpixel((0, 0))] for picture in pictures]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        known = {"a photo of a teal and white striped mug": (1.0, 0.0, 0.0)}
        known["a photo of a teal and white checkered mug"] = (0.0, 1.0, 0.0)
        return torch.tensor([known[text] for text in texts])


def test_a_swapped_word_that_shows_and_leaves_the_rest_counts_in_every_picture(
    pocket_model: Backbone, mug_concept: Any, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = {"{it:checkered=striped}": "#f00", "{it}": "#0f0", "striped": "#00f"}

    def generate(backbone: Any, prompt: str, concepts: Any, seeds: range, settings: Any) -> list[Image.Image]:
        colour = colours[prompt.removeprefix("a photo of a ")]
        return [Image.new("RGB", (8, 8), colour) for _ in seeds]

    monkeypatch.setattr(measures, "generate", generate)
    protocol = dataclasses.replace(FAST, swap="checkered=striped")
    drawn = measures.Drawn(pocket_model, mug_concept, [mug], protocol, ())
    assert measures.values(drawn, METRICS["pocket-word-swap"], ByColour()).tolist() == [[1, 1]]
