"""Does the mask keep the other object out? Two-object pictures, one object clicked, learned with and without the mask.

``python benchmarks/masks.py`` draws pictures of two objects (``recipes.pocket.two``), clicks on one of them, and
learns it in three ways with the defaults:

mask      the region's sentence, the square around the object, and the mask's weights in the loss: what invert does
crop      the region's sentence, the square around the object, and the plain loss: what the weights add
sentence  the region's sentence and the whole photo, plainly: what the mask adds beyond the words

Each concept is drawn with four seeds in each of two prompts, and the recipe's judge says which object it sees.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks import click
from photowords import backbones, segmentation
from photowords.generation import generate
from photowords.images import side_by_side, to_tensor
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from recipes.pocket import judge
from recipes.pocket.two import draw_pair

ARMS = ("mask", "crop", "sentence")
PROMPTS = ("a photo of a {it}", "a photo of a {it} on the beach")
SEEDS = (100, 101, 102, 103)
_STATE: dict[str, Any] = {}


def trial(job: tuple[int, str, int, Path]) -> dict[str, Any]:
    """One inversion of picture ``number``; the clicked object is the left one of even pictures."""
    torch.set_num_threads(1)
    number, arm, steps, out = job
    if not _STATE:
        _STATE.update(backbone=backbones.load("pocket"), judge=judge.load())
    pair = draw_pair(number)
    side = number % 2
    point = click.deepest(pair.masks[side])
    mask = segmentation.load().open(pair.picture)(segmentation.Clicks((point,)))
    concept = start("caption", [pair.picture], _STATE["backbone"], "it", mask)
    settings = InvertSettings(steps=steps, background_weight=1.0 if arm == "crop" else None)
    masks = [] if arm == "sentence" else [mask]
    *_, last = invert(_STATE["backbone"], concept, [pair.picture], settings, masks=masks)
    pictures = [
        picture for prompt in PROMPTS for picture in generate(_STATE["backbone"], prompt, [last.concept], SEEDS)
    ]
    side_by_side([pair.picture.resize((64, 64)), mask.convert("RGB").resize((64, 64)), *pictures]).save(
        out / f"{number:02}-{arm}.png"
    )
    seen = [r.object for r in _STATE["judge"].read(torch.cat([to_tensor(picture, 64) for picture in pictures]))]
    clicked, other = pair.specs[side].object, pair.specs[1 - side].object
    return {
        "picture": number,
        "arm": arm,
        "sentence": concept.sentence,
        "clicked": clicked,
        "other": other,
        "shows_clicked": statistics.mean(name == clicked for name in seen),
        "shows_other": statistics.mean(name == other for name in seen),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=30, help="two-object pictures (default: 30)")
    parser.add_argument(
        "--steps", type=int, default=InvertSettings.steps, help="optimiser steps (default: %(default)s)"
    )
    parser.add_argument("--arms", default=",".join(ARMS), help="ways to learn, by comma (default: all three)")
    parser.add_argument("--out", type=Path, default=Path("build/masks"), help="where trials and pictures go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    arms = args.arms.split(",")
    jobs = [(number, arm, args.steps, args.out) for number in range(args.pictures) for arm in arms]
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
