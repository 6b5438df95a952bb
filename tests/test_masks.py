"""Masks cut out, shown, saved and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photowords import images, segmentation
from photowords.errors import UserError
from photowords.segmentation import Clicks
from tests.discs import LEFT, SIZE, disc


def test_the_cut_out_is_a_white_square_with_the_object_in_its_middle(two_discs: Image.Image) -> None:
    mask = Image.fromarray(LEFT).convert("L")
    square = segmentation.cut_out(two_discs, mask)
    assert square.mode == "RGB" and square.size == (63, 63)  # 49 pixels are 78 % of 63
    pixels = np.asarray(square)
    inside = (pixels != 255).any(-1)
    rows, columns = np.nonzero(inside)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 55, 7, 55)
    assert (pixels[0] == 255).all() and abs(int(pixels[31, 31, 0]) - 200) < 30
    assert segmentation.cut_out(two_discs, mask, share=0.5).size == (98, 98)
    with pytest.raises(UserError, match="the mask is empty"):
        segmentation.cut_out(two_discs, Image.new("L", SIZE))


def test_the_overlay_keeps_the_object_and_dims_the_rest(two_discs: Image.Image) -> None:
    mask = Image.fromarray(LEFT).convert("L")
    drawn = segmentation.overlay(two_discs, mask, Clicks(on=((45, 60),), off=((115, 60),), box=(10, 10, 80, 100)))
    plain = np.asarray(segmentation.overlay(two_discs, mask), int)
    assert drawn.size == SIZE and drawn.mode == "RGB"
    photo = np.asarray(two_discs, int)
    assert np.abs(plain - photo)[disc(45, 60, 20)].max() == 0
    assert plain[5, 5].sum() < 0.7 * photo[5, 5].sum()
    for (x, y), channel in (((45, 60), 1), ((115, 60), 0)):  # a green dot, a red dot; each has a white sign in it
        dot = np.asarray(drawn, int)[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3)
        others = [c for c in range(3) if c != channel]
        assert (dot[:, channel] - dot[:, others].max(1)).max() > 60 and dot.min(1).max() > 220
    segmentation.overlay(two_discs, Image.new("L", SIZE), Clicks(on=((0, 0), (159, 127))))  # dots cut off by the edge


def test_the_overlay_of_a_large_photo_has_its_size_and_outline(two_discs: Image.Image) -> None:
    size = (SIZE[0] * 10, SIZE[1] * 10)
    mask = Image.fromarray(LEFT).convert("L").resize(size, Image.Resampling.NEAREST)
    drawn = segmentation.overlay(two_discs.resize(size, Image.Resampling.NEAREST), mask)
    assert drawn.size == size
    left = segmentation.object_box(mask)[0]
    red, green, _ = drawn.getpixel((left - 4, 605))  # type: ignore[misc]
    assert red > 200 and green < 120, "pink beside the object"
    assert min(drawn.getpixel((left - 9, 605))) > 200, "white around that"  # type: ignore[arg-type]


def test_masks_are_saved_and_read(tmp_path: Path) -> None:
    truth = np.asarray(Image.fromarray(LEFT).convert("L"))
    whole = Image.fromarray(truth)
    segmentation.save_mask(whole, tmp_path / "mask.png")
    assert segmentation.load_mask(tmp_path / "mask.png", SIZE).tobytes() == whole.tobytes()
    Image.fromarray((truth // 255).astype(np.uint8)).save(tmp_path / "ones.png")
    Image.fromarray(LEFT).save(tmp_path / "bits.png")
    selection = np.random.default_rng(0).integers(0, 255, (*truth.shape, 4)).astype(np.uint8)
    selection[..., 3] = truth
    Image.fromarray(selection).save(tmp_path / "selection.png")
    Image.fromarray((truth // 255).astype(np.uint16)).save(tmp_path / "wide.png")  # as scikit-image writes labels
    for name in ("ones", "bits", "selection", "wide"):
        assert segmentation.load_mask(tmp_path / f"{name}.png", SIZE).tobytes() == whole.tobytes(), name
    grey = np.linspace(0, 255, SIZE[0]).astype(np.uint8)[None].repeat(SIZE[1], 0)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert (np.asarray(segmentation.load_mask(tmp_path / "grey.png", SIZE)) == np.where(grey >= 128, 255, 0)).all()
    Image.fromarray(np.where(LEFT, 2, 1).astype(np.uint8)).save(tmp_path / "labels.png")
    assert (
        segmentation.load_mask(tmp_path / "labels.png", SIZE).tobytes()
        == Image.fromarray(np.where(LEFT, 255, 0).astype(np.uint8)).tobytes()
    )
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey.png")
    assert (np.asarray(segmentation.load_mask(tmp_path / "grey.png", SIZE)) == np.where(grey >= 128, 255, 0)).all()
    Image.new("L", SIZE, 255).save(tmp_path / "all.png")
    assert segmentation.object_box(segmentation.load_mask(tmp_path / "all.png", SIZE)) == (0, 0, *SIZE)


def test_a_wrong_mask_file_is_named(tmp_path: Path) -> None:
    Image.new("L", (64, 32), 255).save(tmp_path / "other.png")
    Image.new("L", SIZE).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no image")
    for name, said in (
        ("other", "is 64x32 pixels and the photo 160x128"),
        ("black", "is empty; paint the object white"),
        ("text", "is not an image"),
        ("missing", "does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            segmentation.load_mask(tmp_path / f"{name}.png", SIZE)


def test_a_square_that_would_be_nearly_the_picture_is_all_of_it() -> None:
    """So that a thing is not scaled a little, and its surroundings kept: a pocket concept learned so melts less."""

    def box(side: int) -> tuple[int, int, int, int]:
        mask = Image.new("L", (400, 256))
        mask.paste(255, (150, 30, 150 + side, 30 + side))
        return images.square_box(mask.size, mask)

    assert box(round(0.78 * 0.84 * 256)) == (126, 6, 341, 221)
    assert box(round(0.78 * 0.87 * 256)) == (109, 0, 365, 256), "as near to the object's middle as before"
