"""Eight more instances whose looks lie between the words: to choose settings on, so that the bank stays for judging.

``python -m recipes.pocket.development --out build/development`` draws them as the bank's are. Drawings like them
were not kept out of the pocket's training, as those like the bank's were.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.pocket.bank import pairs_of, save, views_of
from recipes.pocket.world import Thing, describe

DEVELOPMENT = {
    "owl": ("snow", Thing("owl", 198, "striped", "white", 0.30)),
    "vase": ("table", Thing("vase", 84, "dotted", 300.0, 0.30)),
    "shirt": ("beach", Thing("shirt", 300, "checkered", "white", 0.30)),
    "house": ("grass", Thing("house", 14, "two-tone", 197.0, 0.50)),
    "guitar": ("brick", Thing("guitar", 40, "star", "white")),
    "umbrella": ("white", Thing("umbrella", 247, "dotted", 52.0, 0.30)),
    "cat": ("night", Thing("cat", 145, "striped", "black", 0.30)),
    "rocket": ("desert", Thing("rocket", 342, "two-tone", 84.0, 0.58)),
}
"""Folder name -> (the scene of view 0, the instance)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the concepts' folders to")
    root = parser.parse_args().out
    for index, (name, (scene, instance)) in enumerate(DEVELOPMENT.items()):
        save(root / name, instance.object, views_of(instance, scene, index), pairs_of(instance, 100 + index))
        print(f"{name}: {describe(instance)}")


if __name__ == "__main__":
    main()
