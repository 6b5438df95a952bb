"""The concept bank: twelve instances whose looks lie between the words, each in five scenes and beside other things.

``python -m recipes.pocket.bank --out FOLDER`` draws it. View 0 is the one photo to invert; views 1 to 4 are the
truth to compare with. Pairs 0 and 1 show the instance with another thing, and a mask shows where it is. None of these
instances occurs in training.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from recipes.pocket.world import PLACES, SIZES, Picture, Thing, caption, describe, draw, hue_distance, masks

PICTURE = 256  # side of the bank's pictures, in pixels
PAIRS = 2  # pictures with a second thing, for each concept

BANK: dict[str, tuple[str, str, Thing]] = {
    "mug": ("coffee mug", "table", Thing("mug", 198, "checkered", "white", 0.30)),
    "cup": ("cup", "beach", Thing("cup", 14, "two-tone", 197.0, 0.58)),
    "sunglasses": ("sunglasses", "white", Thing("sunglasses", 300, "striped", 40.0, 0.36)),
    "backpack": ("backpack", "grass", Thing("backpack", 84, "star", "white")),
    "sneaker": ("sneaker", "brick", Thing("sneaker", 342, "dotted", "white", 0.30)),
    "teddy_bear": ("teddy bear", "snow", Thing("teddy bear", 40, "heart", 342.0)),
    "bird": ("bird", "desert", Thing("bird", 146, "striped", "black", 0.30)),
    "racing_car": ("go-kart", "grass", Thing("racing car", 247, "two-tone", 14.0, 0.50)),
    "maracas": ("maraca", "table", Thing("maracas", 14, "checkered", 84.0, 0.30)),
    "clock": ("analog clock", "brick", Thing("clock", 300, "square", 84.0)),
    "teapot": ("teapot", "beach", Thing("teapot", 84, "dotted", 300.0, 0.30)),
    "elephant": ("ocarina", "night", Thing("elephant", 197, "two-tone", 52.0, 0.58)),
}
"""Folder name -> (the class in the paper's Table A.1, the scene of view 0, the instance)."""

OTHER_SCENES = ("underwater", "snow", "night", "desert", "brick", "grass", "beach", "table", "white")
SIDES = tuple(SIZES[k] for k in (3, 2, 2, 3, 1))  # of the instance in its views: not always the same


def is_held_out(thing: Thing) -> bool:
    """Whether a thing is so like a concept of the bank that training must not see it."""
    for _, _, instance in BANK.values():
        if thing.object != instance.object or thing.look != instance.look:
            continue
        assert not isinstance(instance.colour, str)
        if not isinstance(thing.colour, str) and hue_distance(thing.colour, instance.colour) < 20:
            return True
    return False


def views(name: str) -> list[Picture]:
    """The five drawings of a concept of the bank."""
    _, scene, instance = BANK[name]
    return views_of(instance, scene, list(BANK).index(name))


def views_of(instance: Thing, scene: str, index: int) -> list[Picture]:
    """Five drawings of an instance: view 0 and four other scenes, at other sizes and places; of another index other
    scenes."""
    scenes = [OTHER_SCENES[(index + k) % len(OTHER_SCENES)] for k in range(len(OTHER_SCENES))]
    scenes = [scene, *[other for other in scenes if other != scene][:4]]
    pictures = []
    for k, (place, size) in enumerate(zip(scenes, SIDES, strict=True)):
        thing = instance.moved(size=size, x=0.5 + (0, 1, -1, 0, 1)[k] / PLACES)
        pictures.append(Picture((_standing(thing, 0.93),), place, index + k))
    return pictures


def _standing(thing: Thing, foot: float) -> Thing:
    """The thing moved to the lowest place where it stands not below ``foot``, a fraction of the picture."""
    return thing.moved(y=math.floor((thing.y + foot - thing.box()[3]) * PLACES) / PLACES)


def pairs(name: str) -> list[Picture]:
    """A concept of the bank beside random things."""
    return pairs_of(BANK[name][2], list(BANK).index(name))


def pairs_of(instance: Thing, index: int) -> list[Picture]:
    """An instance (first of the two things) beside random ones, of another index other ones."""
    from recipes.pocket.sample import beside  # which asks is_held_out above

    return [beside(np.random.default_rng([128, index, k]), instance) for k in range(PAIRS)]


def save(folder: Path, paper_class: str, drawings: list[Picture], doubles: list[Picture]) -> None:
    """Draw an instance's views and pairs into a folder, with what they show in ``spec.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(drawings):
        draw(picture, PICTURE).save(folder / f"view_{number}.png", optimize=True)
    for number, picture in enumerate(doubles):
        draw(picture, PICTURE).save(folder / f"pair_{number}.png", optimize=True)
        mask = Image.fromarray(masks(picture, PICTURE)[0])
        mask.save(folder / f"pair_{number}_mask.png", optimize=True)
    instance = drawings[0].things[0]
    record = {
        "paper_class": paper_class,
        "object": instance.object,
        "description": describe(instance),
        "captions": [caption(picture) for picture in drawings],
        "views": [dataclasses.asdict(picture) for picture in drawings],
        "pair_captions": [caption(picture) for picture in doubles],
        "pairs": [dataclasses.asdict(picture) for picture in doubles],
    }
    (folder / "spec.json").write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the concepts' folders to")
    root = parser.parse_args().out
    for name, (paper_class, _, instance) in BANK.items():
        save(root / name, paper_class, views(name), pairs(name))
        print(f"{name}: {describe(instance)}")


if __name__ == "__main__":
    main()
