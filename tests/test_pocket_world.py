"""The 128-pixel world: drawings follow their spec. Needs the emoji font; skipped, with a reason, without it."""

from __future__ import annotations

import colorsys
import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from photowords.templates import OBJECT
from recipes.pocket import bank, captions, clip, regions, report, sample, sprites, words, world
from recipes.pocket.scenes import GROUND, SCENES, STYLES
from recipes.pocket.world import Picture, Thing

needs_font = pytest.mark.skipif(not sprites.FONT.exists(), reason=sprites.FONT_HELP)
MUG = Thing("mug", 120.0)


def hue_under(picture: Image.Image, mask: np.ndarray) -> float:
    """Hue in degrees of the mean colour under a mask."""
    r, g, b = np.asarray(picture, np.float64)[mask].mean(0) / 255
    return colorsys.rgb_to_hsv(r, g, b)[0] * 360


@needs_font
@pytest.mark.parametrize("hue", [0.0, 52.0, 115.0, 220.0, 300.0])
def test_the_hue_is_drawn(hue: float) -> None:
    picture = Picture((MUG.moved(colour=hue),))
    assert world.hue_distance(hue_under(world.draw(picture), world.masks(picture)[0]), hue) < 8


@needs_font
@pytest.mark.parametrize("look", [*sprites.PATTERNS, *sprites.EMBLEMS])
def test_a_second_colour_covers_a_third_or_less(look: str) -> None:
    shares = []
    for name in sprites.OBJECTS:
        plain, patterned, whole = (
            np.asarray(sprites.paint(name, colour, which, 0.0, 0.27), np.float32)[..., :3]
            for colour, which in ((220.0, "plain"), (220.0, look), (0.0, "plain"))
        )
        changed = np.abs(patterned - plain).sum(-1) > 0.5 * np.abs(whole - plain).sum(-1)
        shares.append(float(changed[sprites.sprite(name).alpha > 0.9].mean()))
    # Dots and bands fall as they may on small objects: each near a third, all together no more.
    assert np.mean(shares) < 0.36 and max(shares) < 0.62, dict(zip(sprites.OBJECTS, shares, strict=True))


@needs_font
def test_black_is_dark_and_white_is_light_on_every_object() -> None:
    for name in sprites.OBJECTS:
        for colour, low, high in (("black", 0.0, 0.33), ("white", 0.65, 1.0)):
            picture = Picture((Thing(name, colour),), scene="grass")
            light = np.asarray(world.draw(picture).convert("L"), np.float64)[world.masks(picture)[0]] / 255
            assert low <= np.median(light) <= high and light.std() > 0.01, (name, colour)


@needs_font
def test_size_and_place_are_drawn() -> None:
    thing = Thing("bell", 120.0, size=0.6, x=0.45, y=0.55)
    mask = world.masks(Picture((thing,)), 256)[0]
    ys, xs = np.nonzero(mask)
    found = (xs.min() / 256, ys.min() / 256, (xs.max() + 1) / 256, (ys.max() + 1) / 256)
    assert found == pytest.approx(thing.box(), abs=0.02)
    assert max(found[2] - found[0], found[3] - found[1]) == pytest.approx(0.6, abs=0.02)


@needs_font
def test_the_same_thing_in_another_scene_keeps_its_pixels() -> None:
    beach, snow = (np.asarray(world.draw(Picture((MUG,), scene)), int) for scene in ("beach", "snow"))
    inside = world.masks(Picture((MUG,)))[0]
    difference = np.abs(beach - snow).mean(-1)
    assert np.median(difference[inside]) == 0 and difference[~inside].mean() > 10


@needs_font
def test_every_object_look_scene_and_style_draws() -> None:
    assert len(sprites.OBJECTS) >= 40
    for i, name in enumerate(sprites.OBJECTS):
        thing = Thing(name, 10.0 * i, sprites.LOOKS[i % 8], "black")
        picture = world.draw(Picture((thing,), list(SCENES)[i % 9], i, list(STYLES)[i % 4]))
        assert picture.size == (128, 128) and np.asarray(picture).std() > 5, name


@needs_font
def test_random_pictures_fit_and_a_quarter_has_two_things() -> None:
    rng = np.random.default_rng(0)
    pictures = [sample.random_picture(rng) for _ in range(600)]
    sizes = [thing.size for picture in pictures for thing in picture.things]
    assert sorted(set(sizes)) == list(world.SIZES) == pytest.approx(np.linspace(0.35, 0.86, 5))
    assert 0.20 < np.mean([len(picture.things) == 2 for picture in pictures]) < 0.30
    for picture in pictures:
        for thing in picture.things:
            left, top, right, bottom = thing.box()
            assert min(left, top, 1 - right, 1 - bottom) > 0
            assert (world.PLACES * thing.x).is_integer() and (world.PLACES * thing.y).is_integer()
            assert picture.scene not in GROUND or bottom > sample.LOWEST_FOOT - 1e-9
        if len(picture.things) == 2:
            one, other = picture.things
            assert one.object != other.object and world.colour_name(one.colour) != world.colour_name(other.colour)


@needs_font
@pytest.mark.parametrize("scene", ["white", "night"])
def test_every_object_fits_somewhere_in_every_size(scene: str) -> None:
    rng = np.random.default_rng(0)
    for name in sprites.OBJECTS:
        for size in world.SIZES:
            left, top, right, bottom = sample.placed(rng, Thing(name, 120.0, size=size), scene).box()
            assert min(left, top, 1 - right, 1 - bottom) >= sample.MARGIN - 1e-9, (name, size)


@needs_font
def test_true_masks_of_two_things_are_apart_and_hold_their_hues() -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        picture = sample.random_picture(rng, 2, style="photo")
        first, second = world.masks(picture)
        assert first.sum() > 100 and second.sum() > 100 and not (first & second).any()
        for thing, mask in zip(picture.things, (first, second), strict=True):
            if thing.look == "plain" and not isinstance(thing.colour, str):
                assert world.hue_distance(hue_under(world.draw(picture), mask), thing.colour) < 12


def test_training_never_sees_a_concept_of_the_bank() -> None:
    rng = np.random.default_rng(0)
    for _, _, instance in bank.BANK.values():
        assert bank.is_held_out(instance)
        for _ in range(50):
            assert not bank.is_held_out(sample.random_thing(rng, object=instance.object, look=instance.look))


@needs_font
def test_the_bank_has_five_scenes_and_two_pairs_that_fit() -> None:
    for name in bank.BANK:
        drawings, doubles = bank.views(name), bank.pairs(name)
        assert len({picture.scene for picture in drawings}) == 5 and len(doubles) == 2
        for picture in (*drawings, *doubles):
            instance = bank.BANK[name][2]
            assert (picture.things[0].object, picture.things[0].colour) == (instance.object, instance.colour)
            for thing in picture.things:
                left, top, right, bottom = thing.box()
                assert min(left, top, 1 - right, 1 - bottom) > 0, (name, picture)
                assert thing.size in world.SIZES
                if thing.look in world.SCALES:
                    assert thing.scale in sample.scales(thing.look, thing.size), thing
                assert all((world.PLACES * place).is_integer() for place in (thing.x, thing.y))


def test_captions_say_what_is_drawn() -> None:
    teapot = Thing("teapot", 3.0, "striped", "white")
    assert world.caption(Picture((teapot,), "beach")) == "a photo of a red and white striped teapot on the beach"
    two = Picture((teapot, Thing("umbrella", 30.0, "star", 220.0)), "snow", style="sketch")
    said = "a pencil sketch of a red and white striped teapot and an orange umbrella with a blue star in the snow"
    assert world.caption(two) == said
    assert world.describe(Thing("cup", "black", "two-tone", 330.0)) == "black cup with a pink base"


def test_every_caption_fits_into_the_context_and_every_word_is_one_token() -> None:
    vocabulary = words.tokenizer()
    assert all(len(vocabulary(word, add_special_tokens=False).input_ids) == 1 for word in words.known_words())
    longest = Thing("teddy bear", 0.0, "striped", "white"), Thing("racing car", 220.0, "two-tone", 115.0)
    picture, draw = Picture(longest, "night"), random.Random(0)
    lengths = [len(vocabulary(captions.training_caption(picture, draw)).input_ids) for _ in range(300)]
    assert max(lengths) <= words.CONTEXT and max(lengths) > 20


@needs_font
def test_the_report_asks_for_the_colours_own_hues_and_nothing_of_the_bank() -> None:
    for picture in [*report.prompts(30, 1), *report.prompts(10, 2)]:
        for thing in picture.things:
            assert isinstance(thing.colour, str) or thing.colour in world.HUES.values()
            assert world.describe(thing) not in {world.describe(instance) for _, _, instance in bank.BANK.values()}


@needs_font
def test_a_square_shows_its_thing_and_a_cut_out_takes_78_percent() -> None:
    picture = Picture((MUG.moved(size=0.4, x=0.3, y=0.6), Thing("cat", "black", size=0.4, x=0.75, y=0.6)))
    for thing, mask in zip(picture.things, world.masks(picture), strict=True):
        box = torch.tensor([regions.square(thing)])
        shown = regions.crop(torch.from_numpy(mask)[None, None].float(), box)
        assert float(shown.sum()) * box[0, 2] ** 2 == pytest.approx(mask.sum(), rel=0.05)
    left, top, right, bottom = regions.alone(picture.things[0]).things[0].box()
    assert max(right - left, bottom - top) == pytest.approx(0.78, abs=0.01)


def test_a_text_of_clip_says_what_its_codes_say() -> None:
    picture = Picture((Thing("mug", 0.0, "striped", "white"), Thing("cat", "black")), "beach")
    said, draw = clip.codes(picture, picture.things), random.Random(0)
    text = "a photo of a red and white striped mug and a black cat on the beach"
    assert clip.text_of(said, draw) == text
    for _ in range(50):
        dropped = clip.drop(said, draw, region=True)
        assert dropped[8] == clip.ANY and all(a in (b, clip.ANY) for a, b in zip(dropped, said, strict=True))
    alone = clip.codes(picture, picture.things[:1])
    texts = [clip.text_of(clip.drop(alone, draw), draw) for _ in range(400)]
    classes = sum(text in {*(form.format("mug") for form in OBJECT), "mug"} for text in texts)
    assert 0.10 < classes / len(texts) < 0.25


@needs_font
def test_a_layout_is_a_unit_vector_and_near_hues_are_near() -> None:
    def cosine(one: Thing, other: Thing) -> float:
        a, b = (np.array(clip.layout(Picture((thing,)), (thing,))) for thing in (one, other))
        assert np.linalg.norm(a) == pytest.approx(1)
        return float(a @ b)

    same, near, far = (cosine(MUG, MUG.moved(colour=120.0 + d)) for d in (0, 15, 120))
    assert same == pytest.approx(1) and same > near > far


def test_a_spec_travels_through_json_and_a_wrong_one_says_which_field(tmp_path: Path) -> None:
    picture = Picture((MUG, Thing("cat", "black")), "beach", 3)
    assert world.read_picture(json.loads(json.dumps(dataclasses.asdict(picture)))) == picture
    for fields, message in (
        ({"things": [{"object": "unicorn", "colour": 3}]}, "object 'unicorn' is unknown"),
        ({"things": [{"object": "mug", "colour": "mauve"}]}, "colour 'mauve' must be a hue"),
        ({"things": [{"object": "mug", "colour": 3, "wings": 2}]}, "unknown field 'wings'"),
        ({"things": [], "scene": "moon"}, "scene 'moon' is unknown"),
        ({"scene": "beach"}, "things"),
    ):
        with pytest.raises(ValueError, match=message):
            world.read_picture(fields)
