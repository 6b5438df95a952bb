"""What a step is drawn from: every view, timestep, template and noise has its share, and each weighs what it should."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from photowords import images, learning, pocket, segmentation
from photowords.backbones import Backbone
from photowords.describe import describe
from photowords.initializers import start
from photowords.inversion import Problem, invert
from photowords.inversion.draws import alone
from photowords.inversion.views import framed, views
from photowords.settings import InvertSettings
from photowords.starts import Caption, Class, Words
from tests.small_models import FEW, words_concept
from tests.test_draws import crowding

INDEPENDENT = dataclasses.replace(FEW, draws="independent", noise="independent")


def with_box(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def problem(tiny: Backbone, photos: list[Image.Image], masks: list[Image.Image], settings: InvertSettings) -> Problem:
    return Problem(tiny, words_concept(tiny), photos, masks, settings)


def test_samples_by_themselves_are_even_in_timesteps_and_templates() -> None:
    drawn = alone(torch.Generator().manual_seed(0), 3, 1, 4000, 7)
    assert crowding(drawn.quantile) < 0.03
    counted = torch.bincount(drawn.prompt, minlength=7)
    assert len(counted) == 7 and counted.min() > 480 and counted.max() < 670


def test_no_two_steps_draw_the_same(tiny: Backbone, mug: Image.Image) -> None:
    drawn = [problem(tiny, [mug], [], INDEPENDENT).draw(index) for index in range(1, 8)]
    for one, other in pairwise(drawn):
        for name in ("latents", "noise", "t"):
            assert not torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("settings", [INDEPENDENT, FEW])
def test_no_two_seeds_draw_the_same(tiny: Backbone, mug: Image.Image, settings: InvertSettings) -> None:
    """Nor does one seed draw what another does a step later."""
    seeded = [problem(tiny, [mug], [], dataclasses.replace(settings, seed=seed)) for seed in range(3)]
    drawn = [one.draw(index).noise.flatten()[:8] for one in seeded for index in (1, 2, 3)]
    assert len({tuple(noise.tolist()) for noise in drawn}) == 9


def test_the_noise_of_a_step_is_normal_and_not_that_of_its_latents(tiny: Backbone, mug: Image.Image) -> None:
    (view,) = views(tiny, [mug])
    batch = problem(tiny, [mug], [], dataclasses.replace(INDEPENDENT, batch=64)).draw(1)
    of_latents, noise = ((batch.latents - view.latents.mean) / view.latents.std).flatten(), batch.noise.flatten()
    assert abs(float(torch.corrcoef(torch.stack([of_latents, noise]))[0, 1])) < 0.05
    for drawn in (of_latents, noise):
        assert abs(float(drawn.mean())) < 0.05 and float(drawn.std()) == pytest.approx(1, rel=0.05)


def test_every_photo_and_its_mirror_image_are_drawn_alike_often(tiny: Backbone, mug: Image.Image) -> None:
    photos = [mug, mug.rotate(90), Image.new("RGB", mug.size, "white")]
    settings = dataclasses.replace(INDEPENDENT, batch=600, flip=True)
    made = problem(tiny, photos, [], settings)
    means = [view.latents.mean for mirrored in (False, True) for view in views(tiny, photos, mirrored=mirrored)]
    drawn = made.draw(1).latents
    nearest = torch.stack([(drawn - mean).square().mean((1, 2, 3)) for mean in means]).argmin(0)
    counted = torch.bincount(nearest, minlength=6)
    # A white picture is its own mirror image.
    assert all(70 < count < 130 for count in counted[[0, 1, 3, 4]].tolist()) and 150 < counted[2] + counted[5] < 250


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_a_wide_photo_is_learned_as_it_is_framed_and_mirrored_with_its_mask(tiny: Backbone, resize: str) -> None:
    photo = Image.linear_gradient("L").rotate(90).resize((192, 64)).convert("RGB")
    photo.paste("red", (130, 10, 180, 60))
    mask = with_box(photo.size, (130, 10, 180, 60))
    settings = dataclasses.replace(INDEPENDENT, batch=64, flip=True, resize=resize)
    if resize == "crop":
        picture = images.to_tensor(photo, 64, images.square_box(photo.size, mask))
    else:
        picture = images.to_tensor(framed(photo, mask, resize).resize((64, 64), Image.Resampling.BICUBIC), 64)
        whole = images.to_tensor(photo.resize((64, 64), Image.Resampling.BICUBIC), 64)
        assert (picture - whole).abs().mean() < 0.02, "the whole photo, whatever its shape"
    means = [tiny.encode_picture(side).mean for side in (picture, picture.flip(-1))]
    plain = views(tiny, [photo], [mask], resize=resize)[0].weight
    made = problem(tiny, [photo], [mask], settings)
    batch = made.draw(1)
    apart = torch.stack([(batch.latents - mean).square().mean((1, 2, 3)) for mean in means])
    spread = views(tiny, [photo], [mask], resize=resize)[0].latents.std.square().mean()
    assert apart.min(0).values.mean() < 1.2 * spread, "either side is the photo's latents and their own noise"
    mirrored = apart.argmin(0).bool()
    assert 15 < mirrored.sum() < 49
    for one, flipped in zip(batch.weight, mirrored, strict=True):
        assert torch.allclose(one, plain[0].flip(-1) if flipped else plain[0])
    assert torch.equal(made.held_out_batch.weight, plain.expand(FEW.held_out, -1, -1, -1))


def test_the_held_out_loss_weighs_the_background_as_training_does(tiny: Backbone, mug: Image.Image) -> None:
    mask = with_box(mug.size, (64, 64, 192, 192))
    found = []
    for background in (0.1, 1.0):
        made = problem(tiny, [mug], [mask], dataclasses.replace(FEW, background_weight=background))
        found.append(made.held_out({"clip_l": made.trained("clip_l")}))
    assert (found[0] - found[1]).abs().min() > 1e-4


@pytest.mark.parametrize("source", ["diffusers", "textual-inversion"])
def test_held_out_losses_compare_whatever_templates_are_trained_on(
    tiny: Backbone, mug: Image.Image, source: str
) -> None:
    plain, other = (problem(tiny, [mug], [], dataclasses.replace(FEW, templates=t)) for t in ("distinct", source))
    rows = {"clip_l": plain.trained("clip_l")}
    assert torch.equal(plain.held_out(rows), other.held_out(rows))
    assert other.prompts == plain.prompts or len(other.prompts) == 81


def test_a_reader_is_shown_what_is_learned(pocket_model: Backbone, mug: Image.Image, tmp_path: Path) -> None:
    """A mug in the middle of a wide photo, and a clock beside it that no square holds."""
    wide = Image.new("RGB", (768, 256), "white")
    wide.paste(Image.open(pocket.view("clock")).convert("RGB"), (0, 0))
    wide.paste(mug, (256, 0))
    wide.save(tmp_path / "wide.png")
    asked = pocket_model, [tmp_path / "wide.png"]
    square = start("caption", [mug], pocket_model).sentence
    assert learning.begin(*asked, tmp_path / "crop", samples=0).start().sentence == square
    assert describe(Caption(), Class(), wide, pocket_model).concept.sentence == square
    squashed = InvertSettings(resize="squash")
    whole = learning.begin(*asked, tmp_path / "squash", settings=squashed, samples=0).start().sentence
    assert whole == start("caption", [wide], pocket_model).sentence != square


def test_what_is_selected_is_what_a_run_learns(tiny: Backbone, mug: Image.Image, tmp_path: Path) -> None:
    """The mask reaches the loop from the run's folder, at its beginning and when it goes on."""
    mug.save(tmp_path / "mug.png")
    mask = with_box(mug.size, (40, 60, 200, 220))
    settings = dataclasses.replace(FEW, background_weight=0.2)
    told = segmentation.Selection(mask, "a test")
    run = learning.begin(
        tiny, [tmp_path / "mug.png"], tmp_path / "run", Words(words="blue checkered mug"), "mug", settings, 0, [told]
    )
    learning.go_on(run, tiny)
    learning.go_on(run, tiny, 6)
    expected = list(invert(tiny, words_concept(tiny), [mug], dataclasses.replace(settings, steps=6), masks=[mask]))
    for row, step in zip(run.losses(), expected, strict=True):
        assert row["loss"] == (None if step.loss is None else pytest.approx(step.loss, rel=1e-6)), row
        if step.held_out is not None:
            assert row["held_out"] == pytest.approx(float(step.held_out.mean()), rel=1e-6)
    whole = list(invert(tiny, words_concept(tiny), [mug], FEW))
    assert abs(run.losses()[1]["loss"] - whole[1].loss) > 1e-4
