"""The loss under a mask, crops and flips."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from PIL import Image

from photowords import images
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.inversion import invert
from photowords.inversion.views import views
from tests.small_models import FEW, words_concept


def rectangle(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def test_a_mask_weighs_latent_cells_by_area_with_mean_one(tiny: Backbone, mug: Image.Image) -> None:
    mask = rectangle(mug.size, (0, 0, 144, 256))  # 4.5 of the 8 columns of latent cells
    weight = views(tiny, [mug], [mask])[0].weight
    row = torch.tensor([1.0, 1, 1, 1, 0.55, 0.1, 0.1, 0.1])
    assert torch.allclose(weight, (row / row.mean()).expand(1, 1, 8, 8), atol=1e-5)
    half = views(tiny, [mug], [mask], background_weight=0.5)[0].weight
    assert half[0, 0, 0, 7] / half[0, 0, 0, 0] == pytest.approx(0.5)
    assert torch.equal(views(tiny, [mug])[0].weight, torch.ones(1, 1, 8, 8))
    everywhere = views(tiny, [mug], [rectangle(mug.size, (0, 0, 256, 256))])[0].weight
    assert torch.allclose(everywhere, torch.ones(1, 1, 8, 8))


def test_a_background_without_a_mask_is_refused(tiny: Backbone, mug: Image.Image) -> None:
    for masks in ((), (None,)):
        with pytest.raises(UserError, match="`background_weight` is of what lies outside a mask, and no photo has one"):
            views(tiny, [mug], masks, background_weight=0.5)


def test_masks_are_as_many_as_photos_and_of_any_mode(tiny: Backbone, mug: Image.Image) -> None:
    mask = rectangle(mug.size, (0, 0, 144, 256))
    plain, coloured = (views(tiny, [mug], [one])[0].weight for one in (mask, mask.convert("RGB")))
    assert torch.equal(plain, coloured)
    with pytest.raises(UserError, match="there are 1 masks for 2 photos"):
        views(tiny, [mug, mug], [mask])


def test_crops_and_flips_move_mask_and_picture_together(tiny: Backbone) -> None:
    wide = Image.new("RGB", (400, 100), "white")
    wide.paste("red", (330, 20, 390, 80))
    mask = rectangle(wide.size, (330, 20, 390, 80))
    for mirrored in (False, True):
        view = views(tiny, [wide], [mask], 0.0, mirrored)[0]
        square = wide.crop((321, 11, 398, 88))  # 60 pixels are 78 % of 77
        picture = images.to_tensor(square, 64)
        picture = picture.flip(-1) if mirrored else picture
        assert torch.equal(view.latents.mean, tiny.encode_picture(picture).mean), "the crop holds the object"
        columns = view.weight[0, 0].sum(0)
        centre = (columns * torch.arange(8)).sum() / columns.sum()
        assert centre == pytest.approx(
            7 - 3.55 if mirrored else 3.55, abs=0.05
        )  # pixels 9-69 of 77: the cells 0.94-7.17


def test_learning_with_flips_draws_both_sides(tiny: Backbone, mug: Image.Image) -> None:
    plain = list(invert(tiny, words_concept(tiny), [mug], FEW))
    flipped = list(invert(tiny, words_concept(tiny), [mug], dataclasses.replace(FEW, flip=True)))
    before, after = plain[0].held_out, flipped[0].held_out
    assert before is not None and after is not None
    assert torch.equal(before, after), "the held-out loss is on the photo as it is"
    assert plain[-1].loss != flipped[-1].loss


def test_the_background_counts_less_with_a_mask(tiny: Backbone, mug: Image.Image) -> None:
    mask = rectangle(mug.size, (64, 64, 192, 192))
    alike = dataclasses.replace(FEW, background_weight=1.0)
    square = mug.crop(images.square_box(mug.size, mask))
    plain = [step.loss for step in invert(tiny, words_concept(tiny), [square], FEW)]
    assert [step.loss for step in invert(tiny, words_concept(tiny), [mug], alike, masks=[mask])] == plain
    masked = [step.loss for step in invert(tiny, words_concept(tiny), [mug], FEW, masks=[mask])]
    assert all(a != b for a, b in zip(masked[1:], plain[1:], strict=True))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("L", (20, 20), 255), "the mask is 20x20 pixels, but its photo is 256x256"),
        (Image.new("L", (256, 256)), "the mask is empty"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tiny: Backbone, mug: Image.Image, mask: Image.Image, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next(invert(tiny, words_concept(tiny), [mug], FEW, masks=[mask]))
