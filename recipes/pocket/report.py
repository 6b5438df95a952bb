"""Judges the pocket model: does it draw what the prompt says?

``python -m recipes.pocket.report`` samples 300 prompts of random attribute combinations (no concept of the
bank; 25 DDIM steps, guidance 4, one seed each), lets the judge read the pictures, and prints the shares
that are right, with the judge's own accuracy on drawings beside them. It saves ``build/pocket/report.json``
and a contact sheet, ``build/pocket/contact-sheet.png``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from photowords import backbones, images
from photowords.generation import generate
from photowords.initializers.captioner import Captioner
from photowords.prompts import sentence
from photowords.settings import GenerateSettings
from recipes.pocket import autoencoder, data, judge
from recipes.pocket.bank import BANK
from recipes.pocket.captioner import read_attributes
from recipes.pocket.world import HUES, Colour, Spec, caption, colour_name, cut_out, describe, hue_distance

BARS = {"object": 0.80, "hue": 0.75, "scene": 0.90}


def prompts(count: int) -> list[Spec]:
    """Random instances whose description is no concept of the bank's."""
    rng = np.random.default_rng(77)
    taken = {describe(spec) for _, spec in BANK.values()}
    specs: list[Spec] = []
    while len(specs) < count:
        spec = data.sample(rng, style="photo")
        if describe(spec) not in taken:
            specs.append(spec)
    return specs


def shares(specs: list[Spec], readings: list[judge.Reading]) -> dict[str, float]:
    """Shares of pictures that show what the words of the caption say."""
    pairs = list(zip(specs, readings, strict=True))

    def near(colour: Colour, reading: judge.Reading) -> bool:
        name = colour_name(colour)
        if name not in HUES or reading.hue is None:
            return name == reading.colour
        return hue_distance(HUES[name], reading.hue) <= 25

    hued = [(s, r) for s, r in pairs if not isinstance(s.colour, str)]
    toned = [(s, r) for s, r in pairs if isinstance(s.colour, str)]
    return {
        "object": _share([s.object == r.object for s, r in pairs]),
        "hue": _share([near(s.colour, r) for s, r in hued]),
        # Stripes and checks cover half of an object: which of their colours is the main one cannot be seen.
        "hue, either colour of stripes and checks": _share(
            [near(s.colour, r) or (s.look in ("striped", "checkered") and near(s.second, r)) for s, r in hued]
        ),
        "black or white": _share([s.colour == r.colour for s, r in toned]),
        "look": _share([s.look == r.look for s, r in pairs]),
        "scene": _share([s.scene == r.scene for s, r in pairs]),
    }


def caption_shares(specs: list[Spec], sentences: list[str]) -> dict[str, float]:
    """Shares of captions right in each attribute, and in every word."""
    pairs = [(describe(spec), said) for spec, said in zip(specs, sentences, strict=True)]
    read = [(read_attributes(true), read_attributes(said)) for true, said in pairs]
    shares = {name: _share([true[name] == said[name] for true, said in read]) for name in read[0][0]}
    return {**shares, "every word": _share([true == said for true, said in pairs])}


def _share(right: list[bool]) -> float:
    return round(sum(right) / max(1, len(right)), 3)


def contact_sheet(pictures: list[Image.Image], captions: list[str], path: Path, columns: int = 8) -> None:
    """Pictures at 160 pixels with their prompts below."""
    side, text = 160, 34
    sheet = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * (side + text)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (picture, words) in enumerate(zip(pictures, captions, strict=True)):
        x, y = i % columns * side, i // columns * (side + text)
        sheet.paste(picture.resize((side - 4, side - 4), Image.Resampling.BICUBIC), (x + 2, y + 2))
        words = words.removeprefix("a photo of ")
        half = len(words) // 2 + words[len(words) // 2 :].find(" ")
        pen.multiline_text((x + 3, y + side), f"{words[:half]}\n{words[half:].strip()}", fill="black", font_size=9)
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="prompts to sample (default: 300)")
    parser.add_argument("--model", default="pocket", help="model folder (default: the package's own)")
    args = parser.parse_args()
    specs = prompts(args.count)
    reader = judge.load()

    def read(pictures: list[Image.Image]) -> list[judge.Reading]:
        stack: Tensor = torch.cat([images.to_tensor(picture, data.SIZE) for picture in pictures])
        return reader.read(stack)

    backbone = backbones.load(args.model)
    settings = GenerateSettings(steps=25, guidance=4.0, scheduler="ddim")
    sampled = [generate(backbone, caption(spec), [], [seed], settings)[0] for seed, spec in enumerate(specs)]
    drawn = [Image.fromarray(data.pixels(spec)) for spec in specs]
    unseen = torch.cat([images.to_tensor(picture, data.SIZE) for picture in drawn])
    result: dict[str, Any] = {
        "prompts": args.count,
        "seeds": f"0-{args.count - 1}, one a prompt",
        "sampled": shares(specs, read(sampled)),
        "bars": BARS,
        "drawn, the judge's own accuracy": shares(specs, read(drawn)),
        "autoencoder PSNR on unseen drawings, dB": round(autoencoder.psnr(backbone.reconstruct(unseen), unseen), 2),
    }
    captioner = Captioner(backbone.readers["captioner"])
    for kind, pictures in (("whole pictures", drawn), ("cut-outs on white", [cut_out(spec) for spec in specs])):
        result[f"captioner, {kind}"] = caption_shares(specs, [sentence(captioner(picture)) for picture in pictures])
    contact_sheet(sampled[:64], [caption(spec) for spec in specs[:64]], data.BUILD / "contact-sheet.png")
    (data.BUILD / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    passed = all(result["sampled"][name] >= bar for name, bar in BARS.items())
    print("every bar is passed" if passed else "a bar is NOT passed")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
