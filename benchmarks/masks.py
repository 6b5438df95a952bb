"""Does the mask keep the other object out? One of two objects is clicked and learned, with the mask and without.

``python -m benchmarks.masks`` draws photos of two objects at random places, clicks on one of them, and learns it in
four ways with the defaults, always from the region's sentence:

mask      the square around the object, and the mask's weights in the loss: what invert does
crop      the square around the object, and the plain loss: what the weights add
whole     the whole photo, and the mask's weights in the loss: what the square adds
sentence  the whole photo, and the plain loss: what the mask adds beyond the words

Each concept is drawn with four seeds in each of two prompts, and the recipe's judge says which objects it sees.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks import click
from photowords import backbones, segmentation
from photowords.generation import generate
from photowords.images import side_by_side, to_tensor
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from recipes.pocket import judge
from recipes.pocket.bank import PICTURE
from recipes.pocket.sample import beside
from recipes.pocket.world import SIZE, draw, masks

ARMS: dict[str, dict[str, Any]] = {
    "mask": {},
    "crop": {"background_weight": 1.0},
    "whole": {"resize": "squash"},
    "sentence": {"resize": "squash", "background_weight": 1.0},
}
"""Name -> settings that differ from the defaults."""
PROMPTS = ("a photo of a {it}", "a photo of a {it} on the beach")
SEEDS = (100, 101, 102, 103)
_STATE: dict[str, Any] = {}


def trial(job: tuple[int, str, argparse.Namespace]) -> dict[str, Any]:
    """One inversion of photo ``number``; the clicked object is the first one drawn of even photos."""
    torch.set_num_threads(1)
    number, arm, args = job
    if not _STATE:
        _STATE.update(backbone=backbones.load(args.model), judge=judge.load())
    backbone, which = _STATE["backbone"], number % 2
    spec = beside(np.random.default_rng([number, 2]))
    photo = draw(spec, PICTURE)
    point = click.deepest(masks(spec, PICTURE)[which])
    mask = segmentation.load().open(photo)(segmentation.Clicks((point,)))
    concept = start("caption", [photo], backbone, "it", mask)
    settings = InvertSettings(steps=args.steps, **ARMS[arm])
    *_, last = invert(backbone, concept, [photo], settings, masks=[mask])
    pictures = [picture for prompt in PROMPTS for picture in generate(backbone, prompt, [last.concept], SEEDS)]
    row = [one.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX) for one in (photo, mask)]
    side_by_side([*row, *pictures]).save(args.out / f"{number:02}-{arm}.png")
    readings = _STATE["judge"].read(torch.cat([to_tensor(picture, SIZE) for picture in pictures]))
    seen = [{thing.object for thing in reading.things} for reading in readings]
    clicked, other = spec.things[which].object, spec.things[1 - which].object
    return {
        "picture": number,
        "arm": arm,
        "sentence": concept.sentence,
        "clicked": clicked,
        "other": other,
        "shows_clicked": statistics.mean(clicked in names for names in seen),
        "shows_other": statistics.mean(other in names for names in seen),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket", help="or a pipeline's folder, its readers beside it")
    parser.add_argument("--pictures", type=int, default=30, help="photos of two objects (default: 30)")
    parser.add_argument(
        "--steps", type=int, default=InvertSettings.steps, help="optimiser steps (default: %(default)s)"
    )
    parser.add_argument("--arms", default=",".join(ARMS), help="ways to learn, by comma (default: all four)")
    parser.add_argument("--out", type=Path, default=Path("build/masks"), help="where trials and pictures go")
    args = parser.parse_args()
    arms = args.arms.split(",")
    if unknown := set(arms) - set(ARMS):
        parser.error(f"no such way to learn: {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(number, arm, args) for number in range(args.pictures) for arm in arms]
    # Spawned, because torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = list(pool.imap(trial, jobs))
    (args.out / "trials.json").write_text(json.dumps(rows, indent=1) + "\n")
    for arm in arms:
        own = [row for row in rows if row["arm"] == arm]
        line = []
        for what in ("shows_clicked", "shows_other"):
            shares = [row[what] for row in own]
            error = statistics.stdev(shares) / len(shares) ** 0.5
            line.append(f"{what.replace('_', ' ')} {statistics.mean(shares):.3f} +- {error:.3f}")
        named = statistics.mean(row["clicked"].split()[-1] in row["sentence"].split() for row in own)
        print(f"{arm:9} {', '.join(line)}; the sentence names the clicked object in {named:.2f}")
    print(f"{args.pictures} pictures, {len(PROMPTS) * len(SEEDS)} samples each, standard errors over pictures")


if __name__ == "__main__":
    main()
