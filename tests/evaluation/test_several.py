"""Several things at once, and what an embedding file says of its photo."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import formats, images, pocket
from photowords.backbones import Backbone
from photowords.errors import PhotowordsWarning, UserError
from photowords.evaluation import evaluate
from photowords.inversion.views import framed
from tests.evaluation.fast import FAST, call


def write(path: Path, concept: Any, **told: Any) -> Path:
    formats.write(dataclasses.replace(concept, provenance={**concept.provenance, **told}), path)
    return path


@pytest.mark.parametrize("option", ["--photo", "--truth", "--class-word"])
def test_what_is_of_one_thing_is_not_taken_for_several(mug_concept: Any, tmp_path: Path, option: str) -> None:
    two = [write(tmp_path / f"{name}.safetensors", mug_concept, photos_sha256=[name]) for name in ("mug", "cup")]
    values: dict[str, list[Any]] = {"--truth": [pocket.view("mug", 1)], "--class-word": ["mug"]}
    told = values.get(option, [])
    photos = ["--photo", pocket.view("mug"), pocket.view("cup")]
    with pytest.raises(UserError, match=r"is of one thing, but .*mug.safetensors and others were learned from several"):
        call(*two, *photos, option, *told) if told else call(*two, *photos)


def test_several_recipes_of_one_photo_are_compared(mug_concept: Any, tmp_path: Path) -> None:
    told = {"photos_sha256": [images.sha256(pocket.view("mug"))]}
    two = [write(tmp_path / f"{name}.safetensors", mug_concept, **told) for name in ("fast", "paper")]
    options = ("--metrics", "psnr", "--samples", 1, "--steps", 1, "--truth", pocket.view("mug", 1))
    rows = call(*two, "--photo", pocket.view("mug"), *options)["runs"]
    assert (
        len(rows) == 2
        and rows[0]["scores"]["learned"]["psnr"]["value"] == rows[1]["scores"]["learned"]["psnr"]["value"]
    )


def test_a_file_is_compared_with_the_square_that_was_learned(pocket_model: Backbone, mug_concept: Any) -> None:
    wide = Image.effect_noise((128, 64), 90).convert("RGB")
    wide.paste(images.load_photo(pocket.view("mug")), (64, 0))
    squashed = dataclasses.replace(mug_concept, provenance={"settings": {"resize": "squash"}})

    def score(concept: Any, photo: Image.Image) -> float:
        return evaluate(pocket_model, concept, [photo], ["pocket-lpips"], FAST)["pocket-lpips"].value

    assert score(squashed, wide) == score(mug_concept, framed(wide, None, "squash"))
    assert score(mug_concept, wide) == score(mug_concept, framed(wide, None)) != score(squashed, wide)


def test_a_file_of_a_part_of_its_photo_says_so(mug_concept: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "mug.safetensors", mug_concept, masks=[{"method": "box"}])
    options = ("--metrics", "pocket-lpips", "--samples", 1, "--steps", 1)
    with pytest.warns(PhotowordsWarning, match="learned from a part of its photo, but is compared with the middle"):
        call(file, "--photo", pocket.view("mug"), *options)


@pytest.mark.parametrize(
    "odd", [{"photos_sha256": 5}, {"settings": ["x"]}, {"settings": {"resize": "foo"}}, {"masks": 3}], ids=str
)
def test_a_file_that_says_odd_things_of_itself_is_scored(odd: dict[str, Any], mug_concept: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "odd.safetensors", mug_concept, **odd)
    call(file, "--photo", pocket.view("mug"), "--metrics", "pocket-lpips", "--samples", 1, "--steps", 2)
    assert formats.read(file).resize == "crop"
