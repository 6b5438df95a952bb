"""The recipe's world: drawings follow their spec. Needs the emoji font; skipped, with a reason, without it."""

from __future__ import annotations

import colorsys
import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.pocket import bank, data, words, world
from recipes.pocket.scenes import SCENES, STYLES

needs_font = pytest.mark.skipif(not world.FONT.exists(), reason=world.FONT_HELP)
MUG = world.Spec("mug", 120.0, scene="white", tilt=0)


def mean_hue(picture: Image.Image, mask: np.ndarray) -> float:
    """Hue in degrees of the mean colour under a mask."""
    r, g, b = np.asarray(picture, np.float64)[mask > 0.9].mean(0) / 255
    return colorsys.rgb_to_hsv(r, g, b)[0] * 360


@needs_font
@pytest.mark.parametrize("hue", [0.0, 52.0, 115.0, 220.0, 300.0])
def test_the_hue_is_drawn(hue: float) -> None:
    spec = MUG.moved(colour=hue)
    assert world.hue_distance(mean_hue(world.draw(spec), world.object_alpha(spec)), hue) < 8


@needs_font
def test_size_place_and_tilt_are_drawn() -> None:
    spec = MUG.moved(size=0.6, x=0.45, y=0.55)
    alpha = world.object_alpha(spec, 256)
    ys, xs = np.nonzero(alpha > 0.5)
    longer = max(np.ptp(xs), np.ptp(ys)) / 256
    assert longer == pytest.approx(0.6, abs=0.03)
    assert (xs.min() + xs.max()) / 512 == pytest.approx(0.45, abs=0.03)
    assert np.abs(alpha - world.object_alpha(spec.moved(tilt=8.0), 256)).mean() > 0.005


@needs_font
def test_the_same_concept_in_another_scene_keeps_its_object() -> None:
    beach, snow = (world.draw(MUG.moved(scene=scene)) for scene in ("beach", "snow"))
    difference = np.abs(np.asarray(beach, int) - np.asarray(snow, int)).mean(-1)
    alpha = world.object_alpha(MUG)
    assert difference[alpha > 0.99].max() <= 1 and difference[alpha < 0.01].mean() > 10


@needs_font
def test_every_object_look_scene_and_style_draws() -> None:
    looks = ("plain", *world.PATTERNS, "two-tone", *world.EMBLEMS)
    for i, name in enumerate(world.OBJECTS):
        spec = world.Spec(name, 10.0 * i, looks[i % 8], "black", scene=list(SCENES)[i % 9], style=list(STYLES)[i % 4])
        picture = world.draw(spec, 64)
        assert picture.size == (64, 64) and np.asarray(picture).std() > 5, name
    pictures = {look: world.draw(MUG.moved(look=look), 64).tobytes() for look in looks}
    assert len(set(pictures.values())) == len(looks)


@needs_font
@pytest.mark.skipif(
    world.FONT.exists() and hashlib.sha256(world.FONT.read_bytes()).hexdigest()[:16] != "e5899ed38b8ed83e",
    reason="the bank was drawn with version 2.042 of the font; this is another",
)
def test_the_bank_in_the_package_is_what_the_recipe_draws() -> None:
    for name, (_, spec) in bank.BANK.items():
        for number, view in enumerate(bank.views(spec)):
            shipped = np.asarray(Image.open(bank.PACKAGE / "bank" / name / f"view_{number}.png"), int)
            drawn = np.asarray(world.draw(view, bank.PICTURE), int)
            # Pillow's resampling may differ by a level between versions.
            assert np.abs(shipped - drawn).mean() < 1, (name, number)


def test_training_never_sees_a_concept_of_the_bank() -> None:
    rng = np.random.default_rng(0)
    for _, instance in bank.BANK.values():
        assert bank.is_held_out(instance)
        for _ in range(50):
            assert not bank.is_held_out(data.sample(rng, object=instance.object, look=instance.look))


def test_the_banks_views_are_five_different_scenes() -> None:
    for _, spec in bank.BANK.values():
        scenes = [view.scene for view in bank.views(spec)]
        assert len(set(scenes)) == 5 and scenes[0] == spec.scene


def test_captions_say_what_is_drawn() -> None:
    spec = world.Spec("teapot", 3.0, "striped", "white", scene="beach")
    assert world.caption(spec) == "a photo of a red and white striped teapot on the beach"
    spec = world.Spec("umbrella", 30.0, "star", 220.0, scene="snow", style="sketch")
    assert world.caption(spec) == "a pencil sketch of an orange umbrella with a blue star in the snow"
    assert world.describe(world.Spec("cup", "black", "two-tone", 330.0)) == "black cup with a pink base"


def test_every_word_of_the_world_is_one_token() -> None:
    vocabulary = words.tokenizer()
    assert all(len(vocabulary(word, add_special_tokens=False).input_ids) == 1 for word in words.known_words())
    assert len(vocabulary("qwertz", add_special_tokens=False).input_ids) > 1


def test_the_colour_words_are_the_nearest() -> None:
    assert [world.colour_name(h) for h in (0, 350, 14.5, 198, 84)] == ["red", "red", "orange", "blue", "green"]
    assert world.hue_distance(350, 10) == 20 and world.hue_distance(0, 180) == 180


@needs_font
def test_the_command_draws_one_picture(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(dataclasses.asdict(MUG)))
    command = [
        sys.executable,
        "-m",
        "recipes.pocket.world",
        "--spec",
        tmp_path / "spec.json",
        "--out",
        tmp_path / "x.png",
    ]
    subprocess.run([*map(str, command)], check=True, cwd=Path(__file__).parents[1])
    assert Image.open(tmp_path / "x.png").size == (256, 256)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nonsense", "not a readable JSON spec"),
        ('{"object": "unicorn", "colour": 3}', "object 'unicorn' is unknown"),
        ('{"object": "mug", "colour": "mauve"}', "colour 'mauve' must be a hue"),
        ('{"object": "mug", "colour": 3, "wings": 2}', "unknown field 'wings'"),
        ('{"object": "mug"}', "colour"),
    ],
)
def test_a_wrong_spec_says_which_field(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        world.read_spec(tmp_path / "spec.json")
