"""Eight more instances whose looks lie between the words: to choose settings on, so that the bank stays for judging.

``python -m recipes.pocket.development --out build/development`` draws them as the bank's are. Drawings like them
were not kept out of the pocket's training, as those like the bank's were.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.pocket.bank import save
from recipes.pocket.world import Spec, describe

DEVELOPMENT = {
    "owl": Spec("owl", 198, "striped", "white", 0.22, scene="snow"),
    "vase": Spec("vase", 84, "dotted", 300.0, 0.25, scene="table", tilt=3),
    "shirt": Spec("shirt", 300, "checkered", "white", 0.24, scene="beach"),
    "house": Spec("house", 14, "two-tone", 197.0, 0.52, scene="grass"),
    "guitar": Spec("guitar", 40, "star", "white", scene="brick", tilt=-4),
    "umbrella": Spec("umbrella", 247, "dotted", 52.0, 0.20, scene="white"),
    "cat": Spec("cat", 145, "striped", "black", 0.30, scene="night"),
    "rocket": Spec("rocket", 342, "two-tone", 84.0, 0.55, scene="desert", tilt=5),
}
"""Folder name -> the instance in view 0."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the concepts' folders to")
    root = parser.parse_args().out
    for index, (name, spec) in enumerate(DEVELOPMENT.items()):
        save(root / name, spec.object, spec, index)
        print(f"{name}: {describe(spec)}")


if __name__ == "__main__":
    main()
