"""Judges the pocket model: does it draw what the prompt says?

``python -m recipes.pocket.report`` samples 300 prompts of one object and 100 of two, of random attributes (no
concept of the bank; 25 steps, guidance 4, one seed each), lets the judge read the pictures, and prints the
shares that are right, with the drawings of the same prompts beside them. It saves ``report.json`` in the build folder
and a contact sheet, ``contact-sheet.png``: 64 drawings on the left, 64 pictures of the same prompts on the right.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from photowords import backbones, images
from photowords.generation import generate
from photowords.settings import SCHEDULERS, GenerateSettings
from recipes.pocket import autoencoder, data, judge
from recipes.pocket.bank import BANK
from recipes.pocket.sample import random_picture
from recipes.pocket.sprites import Colour
from recipes.pocket.world import HUES, SIZE, Picture, caption, colour_name, describe

BARS = {
    "object": 0.97,
    "hue": 0.92,
    "black or white": 0.90,
    "look": 0.93,
    "scene": 0.97,
    "both objects": 0.70,
    "both objects, each with its own colour": 0.60,
}
DRAWN_BARS = {"hue": 0.97}
DECIBELS = 30.0


def prompts(count: int, things: int) -> list[Picture]:
    """Random photos of so many things, in the colours' own hues, none of them a concept of the bank's."""
    rng = np.random.default_rng([77, things])
    taken = {describe(instance) for _, _, instance in BANK.values()}
    specs: list[Picture] = []
    while len(specs) < count:
        spec = named(random_picture(rng, things, style="photo"))
        if not taken & {describe(thing) for thing in spec.things}:
            specs.append(spec)
    return specs


def named(picture: Picture) -> Picture:
    """The picture with every colour as its word says it."""

    def word(colour: Colour) -> Colour:
        return HUES.get(colour_name(colour), colour)

    things = [dataclasses.replace(t, colour=word(t.colour), second=word(t.second)) for t in picture.things]
    return picture.moved(things=tuple(things))


def coloured(asked: Colour, seen: Colour) -> bool:
    """Whether a colour is what its word says: near it, and nearer than to any other word's."""
    return judge.near(asked, seen) and colour_name(asked) == colour_name(seen)


def shares_of_one(specs: list[Picture], readings: list[judge.Reading]) -> dict[str, float]:
    """Shares of pictures of one object that show what the words of the caption say."""
    pairs = [(spec.things[0], reading.things[0]) for spec, reading in zip(specs, readings, strict=True)]
    hued = [coloured(thing.colour, seen.colour) for thing, seen in pairs if not isinstance(thing.colour, str)]
    toned = [coloured(thing.colour, seen.colour) for thing, seen in pairs if isinstance(thing.colour, str)]
    second = [coloured(thing.second, seen.second) for thing, seen in pairs if thing.look != "plain"]
    return shares(
        {
            "object": [thing.object == seen.object for thing, seen in pairs],
            "nothing else": [len(reading.things) == 1 for reading in readings],
            "hue": hued,
            "black or white": toned,
            "look": [thing.look == seen.look for thing, seen in pairs],
            "second colour": second,
            "scene": [spec.scene == reading.scene for spec, reading in zip(specs, readings, strict=True)],
        }
    )


def shares_of_two(specs: list[Picture], readings: list[judge.Reading]) -> dict[str, float]:
    """Shares of pictures of two objects that show both, and both in their own colours."""
    both, own = [], []
    for spec, reading in zip(specs, readings, strict=True):
        seen = {thing.object: thing.colour for thing in reading.things}
        both.append(set(seen) == {thing.object for thing in spec.things})
        own.append(both[-1] and all(coloured(thing.colour, seen[thing.object]) for thing in spec.things))
    return shares(
        {
            "both objects": both,
            "both objects, each with its own colour": own,
            "scene of two": [spec.scene == reading.scene for spec, reading in zip(specs, readings, strict=True)],
        }
    )


def shares(right: dict[str, list[bool]]) -> dict[str, float]:
    """How many of each are true, in [0, 1], to three places; what no prompt asked for is left out."""
    return {name: round(sum(each) / len(each), 3) for name, each in right.items() if each}


def missed(found: dict[str, float], bars: dict[str, float]) -> list[str]:
    """The bars that what was found does not reach, of those that were asked for."""
    return [name for name, bar in bars.items() if name in found and found[name] < bar]


def contact_sheet(drawn: list[Image.Image], sampled: list[Image.Image], path: Path) -> None:
    """64 drawings on the left beside the 64 pictures of the same prompts, both 8 x 8 at their own size."""
    sheet = Image.new("RGB", (16 * SIZE + 16, 8 * SIZE), "white")
    for side, pictures in enumerate((drawn, sampled)):
        for i, picture in enumerate(pictures[:64]):
            sheet.paste(picture, (i % 8 * SIZE + side * (8 * SIZE + 16), i // 8 * SIZE))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="prompts of one object (default: 300)")
    parser.add_argument("--pairs", type=int, default=100, help="prompts of two objects (default: 100)")
    parser.add_argument("--model", default=str(data.BUILD / "pipeline"), help="model folder (default: the one built)")
    parser.add_argument(
        "--scheduler",
        default="default",
        choices=("default", *SCHEDULERS),
        help="default: the model's own",
    )
    parser.add_argument(
        "--sheet", action="store_true", help="only 64 pictures and the contact sheet, without the judge"
    )
    args = parser.parse_args()
    data.BUILD.mkdir(parents=True, exist_ok=True)
    backbone = backbones.load(args.model)
    settings = GenerateSettings(steps=25, guidance=4.0, scheduler=args.scheduler)
    singles, pairs = prompts(args.count, 1), prompts(args.pairs, 2)
    mixed = [spec for k in range(16) for spec in (*singles[3 * k : 3 * k + 3], *pairs[k : k + 1])]
    specs = mixed if args.sheet else singles + pairs

    sampled = [generate(backbone, caption(spec), [], [seed], settings)[0] for seed, spec in enumerate(specs)]
    drawn = [Image.fromarray(data.pixels(spec)) for spec in specs]
    shown = {caption(spec): (one, other) for spec, one, other in zip(specs, drawn, sampled, strict=True)}
    beside = [shown[caption(spec)] for spec in mixed]
    contact_sheet([one for one, _ in beside], [other for _, other in beside], data.BUILD / "contact-sheet.png")
    if args.sheet:
        return

    reader = judge.load()

    def stack(pictures: list[Image.Image]) -> Tensor:
        return torch.cat([images.to_tensor(picture, SIZE) for picture in pictures])

    def read(pictures: list[Image.Image]) -> dict[str, float]:
        readings, count = reader.read(stack(pictures)), len(singles)
        return {**shares_of_one(singles, readings[:count]), **shares_of_two(pairs, readings[count:])}

    unseen = stack(drawn)
    result: dict[str, Any] = {
        "prompts": f"{args.count} of one object, {args.pairs} of two",
        "scheduler": args.scheduler,
        "seeds": f"0-{len(specs) - 1}, one a prompt",
        "sampled": read(sampled),
        "bars": BARS,
        "drawn, the judge's own accuracy": read(drawn),
        "autoencoder PSNR on unseen drawings, dB": round(autoencoder.psnr(backbone.reconstruct(unseen), unseen), 2),
    }
    (data.BUILD / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    failed = missed(result["sampled"], BARS)
    failed += [f"{name} of drawings" for name in missed(result["drawn, the judge's own accuracy"], DRAWN_BARS)]
    failed += ["autoencoder PSNR"] * (result["autoencoder PSNR on unseen drawings, dB"] < DECIBELS)
    print(f"NOT passed: {', '.join(failed)}" if failed else "every bar is passed; now look at the contact sheet")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
