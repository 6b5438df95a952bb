"""Clicks become masks: the embedded graph cut on pictures of known truth, and Segment Anything from a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import (
    SamConfig,
    SamImageProcessorPil,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from photowords import pocket, segmentation
from photowords.errors import UserError
from photowords.images import load_photo
from photowords.segmentation import Clicks, Segmenter
from recipes.pocket import bank, two, world

needs_font = pytest.mark.skipif(not world.FONT.exists(), reason=world.FONT_HELP)
SIZE = (160, 128)


def noisy(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    return Image.fromarray((pixels + np.random.default_rng(0).normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    return np.hypot(columns - x, rows - y) <= radius


def overlap(mask: Image.Image, truth: np.ndarray) -> float:
    inside = np.asarray(mask) > 0
    return float((inside & truth).sum() / (inside | truth).sum())


@pytest.fixture(scope="module")
def two_discs() -> Image.Image:
    """A red disc at (45, 60) and a blue one at (115, 60), both of radius 24, before sky and sand."""
    picture = Image.new("RGB", SIZE, (150, 190, 235))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 80, *SIZE), fill=(225, 200, 150))
    for x, colour in ((45, (200, 40, 30)), (115, (30, 40, 200))):
        pen.ellipse((x - 24, 36, x + 24, 84), fill=colour)
    return noisy(picture)


@pytest.fixture(scope="module")
def answer(two_discs: Image.Image) -> Callable[[Clicks], Image.Image]:
    return segmentation.load().open(two_discs)


LEFT, RIGHT = disc(45, 60, 24), disc(115, 60, 24)


def test_one_click_finds_the_disc_under_it(answer: Any) -> None:
    for click, truth in (((45, 60), LEFT), ((115, 60), RIGHT), ((108, 50), RIGHT)):
        mask = answer(Clicks(on=(click,)))
        assert mask.mode == "L" and mask.size == SIZE and set(np.unique(mask)) == {0, 255}
        assert overlap(mask, truth) > 0.93, click


def test_more_clicks_add_objects_and_background_clicks_take_them_away(answer: Any) -> None:
    both = answer(Clicks(on=((45, 60), (115, 60))))
    assert overlap(both, LEFT | RIGHT) > 0.93
    picture = Image.new("RGB", SIZE, (235, 235, 235))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((40, 30, 80, 90), fill=(200, 40, 30))
    pen.rectangle((80, 30, 120, 90), fill=(40, 160, 60))
    ask = segmentation.load().open(noisy(picture))
    red = np.zeros(SIZE[::-1], bool)
    red[30:91, 40:80] = True
    kept = np.asarray(ask(Clicks(on=((60, 60),), off=((100, 60),)))) > 0
    assert overlap(Image.fromarray(kept), red) > 0.9 and not kept[60, 100]
    whole = np.asarray(ask(Clicks(on=((60, 60), (100, 60))))) > 0
    assert whole[60, 60] and whole[60, 100] and whole.sum() > 1.8 * red.sum()


def test_a_box_alone_finds_what_is_in_it_and_nothing_outside(answer: Any) -> None:
    mask = answer(Clicks(box=(86, 31, 144, 89)))
    assert overlap(mask, RIGHT) > 0.9
    assert segmentation.object_box(mask)[0] >= 84  # a pixel or two of rounding


def test_opened_once_answers_many_clicks_and_always_the_same(answer: Any, two_discs: Image.Image) -> None:
    first = answer(Clicks(on=((45, 60),)))
    answer(Clicks(on=((115, 60),), off=((45, 60),)))
    again = segmentation.load().open(two_discs)(Clicks(on=((45, 60),)))
    assert first.tobytes() == answer(Clicks(on=((45, 60),))).tobytes() == again.tobytes()


@pytest.mark.parametrize("size", [(8, 8), (300, 9), (700, 500)])
def test_any_size_and_a_picture_of_one_colour(size: tuple[int, int]) -> None:
    answered = segmentation.load().open(Image.new("RGB", size, "grey"))(Clicks(on=((size[0] // 2, size[1] // 2),)))
    assert answered.size == size and answered.getbbox() is not None


@pytest.mark.parametrize(
    ("clicks", "said"),
    [
        (Clicks(on=((160, 3),)), "the click 160,3 is outside the picture, which is 160x128 pixels"),
        (Clicks(on=((3, 3),), off=((3, -1),)), "the background click 3,-1 is outside the picture"),
        (Clicks(on=((float("nan"), 3),)), "outside the picture"),
        (Clicks(), "nothing points at the object"),
        (Clicks(off=((3, 3),)), "nothing points at the object"),
        (Clicks(on=((3, 3),), off=((3, 3),)), "on the object and on the background"),
        (Clicks(box=(50, 10, 20, 60)), "the box 50,10,20,60 is empty or reversed"),
        (Clicks(box=(10, 10, 10, 60)), "empty or reversed"),
        (Clicks(box=(10, 10, 161, 60)), "reaches outside the picture, which is 160x128"),
        (Clicks(on=((5, 5),), box=(10, 10, 40, 60)), "the click 5,5 is outside the box 10,10,40,60"),
    ],
)
def test_wrong_clicks_are_named(answer: Any, clicks: Clicks, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        answer(clicks)


def test_clean_keeps_what_is_clicked_and_fills_small_holes() -> None:
    pixels = np.zeros((100, 100), bool)
    pixels[20:80, 20:80] = True
    pixels[40:44, 40:44] = False  # a hole to fill
    pixels[50:70, 50:70] = False  # a handle's
    pixels[5:8, 90:93] = True  # a speck
    mask = Image.fromarray(pixels)
    cleaned = np.asarray(segmentation.clean(mask, Clicks(on=((30, 30),)))) > 0
    assert cleaned[42, 42] and not cleaned[60, 60] and not cleaned[6, 91]
    assert not np.asarray(segmentation.clean(mask, Clicks(on=((30, 30),), off=((42, 42),))))[42, 42]
    for empty, clicks in ((mask, Clicks(on=((2, 2),))), (Image.new("L", (100, 100)), Clicks(box=(0, 0, 9, 9)))):
        with pytest.raises(UserError, match="no object is found where you clicked; click elsewhere"):
            segmentation.clean(empty, clicks)


@needs_font
def test_one_click_on_the_concepts_of_the_bank_and_on_two_objects() -> None:
    """A few of what benchmarks/click.py measures; the mean over all 42 is 0.93."""
    scores = []
    for name in ("mug", "bird", "clock", "sunglasses"):
        _, spec = bank.BANK[name]
        truth = world.object_alpha(bank.views(spec)[0], 256) >= 0.5
        scores.append(score(load_photo(pocket.view(name)), truth))
    pair = two.draw_pair(3)
    scores += [score(pair.picture, truth) for truth in pair.masks]
    assert min(scores) > 0.75 and np.mean(scores) > 0.9, scores


def score(picture: Image.Image, truth: np.ndarray) -> float:
    rows, columns = np.nonzero(truth)
    middle = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
    return overlap(segmentation.load().open(picture)(Clicks(on=((columns[middle], rows[middle]),))), truth)


@needs_font
def test_a_pair_is_two_objects_apart_and_the_seed_says_which() -> None:
    pair, again = two.draw_pair(5, 128), two.draw_pair(5, 128)
    assert pair.picture.tobytes() == again.picture.tobytes() and pair.specs == again.specs
    assert pair.picture.tobytes() != two.draw_pair(6, 128).picture.tobytes()
    left, right = pair.masks
    assert not (left & right).any() and min(left.sum(), right.sum()) > 500
    assert np.nonzero(left)[1].mean() < 64 < np.nonzero(right)[1].mean()
    assert pair.specs[0].object != pair.specs[1].object and not any(map(bank.is_held_out, pair.specs))


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
    for name in ("ones", "bits", "selection"):
        assert segmentation.load_mask(tmp_path / f"{name}.png", SIZE).tobytes() == whole.tobytes(), name
    grey = np.linspace(0, 255, SIZE[0]).astype(np.uint8)[None].repeat(SIZE[1], 0)
    Image.fromarray(grey).save(tmp_path / "grey.png")
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


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM of a few thousand weights, saved as the published ones are."""
    folder = tmp_path_factory.mktemp("sam")
    torch.manual_seed(0)
    vision = SamVisionConfig(
        hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=16,
        window_size=2, global_attn_indexes=[0], mlp_dim=16, num_pos_feats=8,
    )  # fmt: skip
    prompts = SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    model.save_pretrained(folder)
    processor = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    SamProcessor(processor).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam(sam_folder: Path) -> Segmenter:
    return segmentation.load(str(sam_folder))


def test_sam_encodes_once_and_answers_with_its_best_mask(
    sam: Any, sam_folder: Path, two_discs: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sam.source == str(sam_folder) and sam.revision is None
    encoded = []
    encode = sam._model.get_image_embeddings
    monkeypatch.setattr(sam._model, "get_image_embeddings", lambda pixels: encoded.append(1) or encode(pixels))
    opened = sam.open(two_discs)
    asked = [Clicks(on=((45, 60),)), Clicks(on=((45, 60),), off=((115, 60),)), Clicks(box=(20, 30, 70, 90))]
    pieces = []
    monkeypatch.setattr("photowords.segmentation.sam.clean", lambda mask, clicks: pieces.append(mask) or mask)
    for clicks in asked:
        assert opened(clicks).size == SIZE
    assert len(encoded) == 1
    # The same as the processor and the model say when they are used by the book.
    inputs = SamProcessor.from_pretrained(sam_folder)(
        two_discs, input_points=[[[45.0, 60.0], [115.0, 60.0]]], input_labels=[[1, 0]], return_tensors="pt"
    )
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    with torch.no_grad():
        said = sam._model(
            **{k: v.float() if v.is_floating_point() else v for k, v in inputs.items() if "sizes" not in k}
        )
    masks = sam._processor.post_process_masks(said.pred_masks, *sizes)[0][0]
    best = masks[said.iou_scores[0, 0].argmax()].numpy()
    assert (np.asarray(pieces[1]) > 0).tolist() == best.tolist()


def test_sam_says_when_nothing_is_found(sam: Any, two_discs: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = sam.open(two_discs)
    monkeypatch.setattr(
        sam._processor, "post_process_masks", lambda *_: [torch.zeros(1, 1, *SIZE[::-1], dtype=torch.bool)]
    )
    with pytest.raises(UserError, match=r"no object is found.*`box`.*`mask`"):
        opened(Clicks(on=((45, 60),)))
    with pytest.raises(UserError, match="outside the picture"):
        opened(Clicks(on=((45, 600),)))


def test_a_segmenter_that_cannot_be_had_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"download facebook/sam-vit-nowhere .* give FOLDER as `segmenter`"):
        segmentation.load("facebook/sam-vit-nowhere")
    for family, said in (("sam2", "needs torchvision"), ("vit", "segments no clicks")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
        with pytest.raises(UserError, match=f"'{family}', which {said}.*; use a first-generation SAM"):
            segmentation.load(str(tmp_path))
