"""Pictures of two objects side by side in one scene, each with its true mask: where a click must choose.

``python -m recipes.pocket.two --seed 3 --out two.png`` draws one of them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recipes.pocket.data import sample
from recipes.pocket.scenes import SCENES, VARIANTS
from recipes.pocket.world import Spec, caption, colour_name, draw, object_alpha


@dataclass(frozen=True)
class Pair:
    """One picture of two objects; ``specs`` and ``masks`` have the left one first.

    The masks are boolean, (size, size), True where the object covers at least half of the pixel.
    """

    picture: Image.Image
    specs: tuple[Spec, Spec]
    masks: tuple[NDArray[Any], NDArray[Any]]


def draw_pair(seed: int, size: int = 256) -> Pair:
    """Two different objects of different colours that do not touch, neither of them a concept of the bank.

    Raises FileNotFoundError without the emoji font.
    """
    rng = np.random.default_rng([seed, 2])
    scene = {"scene": str(rng.choice(list(SCENES))), "scene_seed": int(rng.integers(VARIANTS)), "style": "photo"}
    while True:
        left, right = (
            sample(
                rng, **scene, size=rng.uniform(0.40, 0.50), x=middle + rng.uniform(-0.03, 0.03), y=rng.uniform(0.5, 0.6)
            )
            for middle in (0.26, 0.74)
        )
        alphas = object_alpha(left, size), object_alpha(right, size)
        colours = colour_name(left.colour), colour_name(right.colour)
        if left.object != right.object and colours[0] != colours[1] and not (alphas[0] * alphas[1]).any():
            break
    drawings = [np.asarray(draw(spec, size)) for spec in (left, right)]
    # Each object from its own drawing; elsewhere both drawings are the scene, darkened by one shadow or the other.
    picture = np.minimum(*drawings)
    for drawing, alpha in zip(drawings, alphas, strict=True):
        picture = np.where(alpha[..., None] > 0, drawing, picture)
    return Pair(Image.fromarray(picture), (left, right), (alphas[0] >= 0.5, alphas[1] >= 0.5))


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw one picture of two objects.")
    parser.add_argument("--seed", type=int, default=0, help="which picture (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--size", type=int, default=256, help="side in pixels (default: 256)")
    args = parser.parse_args()
    try:
        pair = draw_pair(args.seed, args.size)
        pair.picture.save(args.out)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"left: {caption(pair.specs[0])}\nright: {caption(pair.specs[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
