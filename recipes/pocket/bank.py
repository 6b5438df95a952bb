"""The concept bank: twelve instances whose looks lie between the words, each in five scenes.

``python -m recipes.pocket.bank`` draws ``src/photowords/pocket/bank``. View 0 is the one photo to
invert; views 1 to 4 are the truth to compare with. None of these instances occurs in training.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from recipes.pocket.world import Spec, caption, describe, draw, hue_distance

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "photowords" / "pocket"
PICTURE = 256  # side of the bank's pictures, in pixels

BANK: dict[str, tuple[str, Spec]] = {
    "mug": ("coffee mug", Spec("mug", 198, "checkered", "white", 0.235, scene="table")),
    "cup": ("cup", Spec("cup", 14, "two-tone", 197.0, 0.56, scene="beach", tilt=4)),
    "sunglasses": ("sunglasses", Spec("sunglasses", 300, "striped", 40.0, 0.19, scene="white")),
    "backpack": ("backpack", Spec("backpack", 84, "star", "white", scene="grass", tilt=-4)),
    "sneaker": ("sneaker", Spec("sneaker", 342, "dotted", "white", 0.21, scene="brick")),
    "teddy_bear": ("teddy bear", Spec("teddy bear", 40, "heart", 342.0, scene="snow")),
    "bird": ("bird", Spec("bird", 146, "striped", "black", 0.30, scene="desert", tilt=-5)),
    "racing_car": ("go-kart", Spec("racing car", 247, "two-tone", 14.0, 0.50, scene="grass")),
    "maracas": ("maraca", Spec("maracas", 14, "checkered", 84.0, 0.22, scene="table", tilt=3)),
    "clock": ("analog clock", Spec("clock", 300, "square", 84.0, scene="brick")),
    "teapot": ("teapot", Spec("teapot", 84, "dotted", 300.0, 0.31, scene="beach", tilt=-3)),
    "elephant": ("ocarina", Spec("elephant", 197, "two-tone", 52.0, 0.60, scene="night")),
}
"""Folder name -> (the class in the paper's Table A.1, the instance in view 0)."""

OTHER_SCENES = ("underwater", "snow", "night", "desert", "brick", "grass", "beach", "table", "white")


def views(spec: Spec) -> list[Spec]:
    """The five drawings of an instance of the bank."""
    return views_of(spec, [instance for _, instance in BANK.values()].index(spec))


def views_of(spec: Spec, index: int) -> list[Spec]:
    """The five drawings of an instance: view 0 and four other scenes, slightly moved and tilted; of another index
    other scenes."""
    scenes = [OTHER_SCENES[(index + k) % len(OTHER_SCENES)] for k in range(len(OTHER_SCENES))]
    scenes = [scene for scene in scenes if scene != spec.scene][:4]
    return [spec.moved(scene_seed=index)] + [
        spec.moved(scene=scene, scene_seed=index + k, tilt=spec.tilt + (3, -3)[k % 2], x=0.5 + (0.02, -0.02)[k % 2])
        for k, scene in enumerate(scenes, start=1)
    ]


def is_held_out(spec: Spec) -> bool:
    """Whether a drawing is so like a concept of the bank that training must not see it."""
    for _, instance in BANK.values():
        if spec.object != instance.object or spec.look != instance.look:
            continue
        assert not isinstance(instance.colour, str)
        if not isinstance(spec.colour, str) and hue_distance(spec.colour, instance.colour) < 20:
            return True
    return False


def main() -> None:
    for index, (name, (paper_class, spec)) in enumerate(BANK.items()):
        save(PACKAGE / "bank" / name, paper_class, spec, index)
        print(f"{name}: {describe(spec)}")


def save(folder: Path, paper_class: str, spec: Spec, index: int) -> None:
    """Draw an instance's views into a folder, with what they show in ``spec.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = views_of(spec, index)
    for number, view in enumerate(drawings):
        draw(view, PICTURE).save(folder / f"view_{number}.png", optimize=True)
    record = {
        "paper_class": paper_class,
        "object": spec.object,
        "description": describe(spec),
        "captions": [caption(view) for view in drawings],
        "views": [dataclasses.asdict(view) for view in drawings],
    }
    (folder / "spec.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
