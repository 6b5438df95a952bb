"""Two learned concepts in one prompt: are both there, each with its own colour?

``python -m benchmarks.pairs`` learns the bank's twelve concepts from one photo each, with the
defaults, and draws each beside another: "a photo of a {mug} and a {bird} on the beach". The recipe's judge reads the
pictures. Beside them, with the same seeds: the sentences that the concepts began with, as plain words, which show what
the model itself can do; and the drawn pictures of such pairs, which show how well the judge reads.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from photowords import backbones
from photowords.concept import Concept
from photowords.generation import generate
from photowords.images import side_by_side, to_tensor
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from recipes.pocket import judge
from recipes.pocket.bank import BANK, PICTURE, views
from recipes.pocket.sample import PAIR_SIZES, apart, placed
from recipes.pocket.scenes import VARIANTS
from recipes.pocket.world import SIZE, Picture, Thing, draw

PROMPT = "a photo of a {} and a {} on the beach"
SEEDS = (100, 101, 102, 103)
APART = 5  # in the bank's order: of which two meet


def learn(backbone: backbones.Backbone, name: str, steps: int) -> Concept:
    """A concept of the bank from its view 0, with the defaults."""
    photo = draw(views(name)[0], PICTURE)
    concept = start("caption", [photo], backbone, name)
    *_, last = invert(backbone, concept, [photo], InvertSettings(steps=steps))
    return last.concept


def drawing(pair: tuple[Thing, Thing], seed: int) -> Image.Image:
    """Both things at random places on the beach, where they do not touch."""
    rng = np.random.default_rng([seed, 3])
    while True:
        one, other = (placed(rng, thing.moved(size=float(rng.choice(PAIR_SIZES))), "beach") for thing in pair)
        if apart(one, other):
            return draw(Picture((one, other), "beach", seed % VARIANTS), SIZE)


def both(readings: list[judge.Reading], pair: tuple[Thing, Thing]) -> dict[str, float]:
    """Shares of pictures that show both things, and both in their own colours."""
    seen = [{thing.object: thing.colour for thing in reading.things} for reading in readings]
    there = [all(thing.object in colours for thing in pair) for colours in seen]
    own = [
        known and all(judge.near(thing.colour, colours[thing.object]) for thing in pair)
        for known, colours in zip(there, seen, strict=True)
    ]
    return {"both": statistics.mean(there), "own colours": statistics.mean(own)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket", help="or a pipeline's folder, its readers beside it")
    parser.add_argument(
        "--steps", type=int, default=InvertSettings.steps, help="of each concept (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("build/pairs"), help="where numbers and pictures go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    backbone, reader = backbones.load(args.model), judge.load()
    concepts = {name: learn(backbone, name, args.steps) for name in BANK}
    names = list(BANK)
    rows = []
    for name, other in zip(names, names[APART:] + names[:APART], strict=True):
        pair = (BANK[name][2], BANK[other][2])
        sentences = [concepts[one].sentence for one in (name, other)]
        learned = generate(
            backbone, PROMPT.format(f"{{{name}}}", f"{{{other}}}"), [concepts[name], concepts[other]], SEEDS
        )
        shown = {
            "learned": learned,
            "words": generate(backbone, PROMPT.format(*sentences), [], SEEDS),
            "drawn": [drawing(pair, seed) for seed in SEEDS],
        }
        side_by_side([picture for pictures in shown.values() for picture in pictures]).save(args.out / f"{name}.png")
        row: dict[str, Any] = {"pair": [name, other], "sentences": sentences}
        for arm, pictures in shown.items():
            readings = reader.read(torch.cat([to_tensor(picture, SIZE) for picture in pictures]))
            row[arm] = both(readings, pair)
        rows.append(row)
        print(f"{name} and {other}: " + ", ".join(f"{arm} {row[arm]}" for arm in shown), flush=True)
    (args.out / "pairs.json").write_text(json.dumps(rows, indent=1) + "\n")
    for arm in shown:
        for what in ("both", "own colours"):
            shares = [row[arm][what] for row in rows]
            error = statistics.stdev(shares) / len(shares) ** 0.5
            print(f"{arm:8} {what:12} {statistics.mean(shares):.3f} +- {error:.3f}")
    print(f"{len(rows)} pairs, {len(SEEDS)} pictures each, standard errors over pairs")


if __name__ == "__main__":
    main()
