"""Which way of making steps is best? Arms side by side on the same concepts, photos, noise and pictures.

``python -m benchmarks.recipes --concepts build/development --out build/recipes`` runs the arms that have no result yet
(``recipes.pocket.development`` draws these concepts; the bank is for judging what was chosen), and prints the table.
All concepts are stepped and drawn in one batch. An arm is judged by its pictures first, in ``sheets/ARM-sSEED.png``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.arms import ARMS, Arm
from benchmarks.likeness import Judge, Subject, means
from benchmarks.optimizers import Falling
from photowords import backbones, files
from photowords.backbones import Backbone, Conditioning
from photowords.concept import Concept
from photowords.initializers import start
from photowords.inversion import Inversion, Problem, Rule, together
from photowords.settings import GenerateSettings, InvertSettings

AT = (5, 25, 50, 100)
SCORED = ("photo", "photo_lpips", "views", "views_lpips", "views_second", "edits", "swap")


class Guided:
    """A backbone whose prediction is the guided one, as when pictures are drawn; all else is the backbone's own."""

    def __init__(self, backbone: Backbone, scale: float) -> None:
        self._backbone, self._scale = backbone, scale
        self._nothing = backbone.encode_negative_prompt([], {})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def predict(self, noisy: torch.Tensor, t: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        with torch.no_grad():
            without = self._backbone.predict(noisy, t, self._nothing.pick(torch.zeros(len(t), dtype=torch.long)))
        return without + self._scale * (self._backbone.predict(noisy, t, conditioning) - without)


def learned(backbone: Backbone, arm: Arm, starts: list[Concept], subjects: list[Subject], seed: int) -> dict[int, Any]:
    """Step -> the concepts there, for the steps of ``AT``."""
    told = InvertSettings(arm.steps, arm.batch, f"rho:{arm.rho}", seed=seed, held_out=1, evaluate_every=arm.steps)
    model: Any = backbone if arm.guidance == 1 else Guided(backbone, arm.guidance)
    begun = [arm.start(backbone, concept) for concept in starts]
    rule = arm.rule
    if arm.falling:
        rule = dataclasses.replace(rule, optimizer=Falling(rule.optimizer, arm.steps))
    problems = [
        Problem(model, concept, subject.views[:1], (), dataclasses.replace(told, seed=seed + 1000 * k), rule)
        for k, (concept, subject) in enumerate(zip(begun, subjects, strict=True))
    ]
    for problem in problems:
        problem.prompts = [prompt for told in problem.prompts for prompt in arm.prompts(told)]
    kept = {}
    for steps in together([Inversion(problem) for problem in problems]):
        if steps[0].index in AT or steps[0].index == arm.steps:
            kept[steps[0].index] = [step.concept for step in steps]
    return kept


def way(begin: Concept, end: Concept) -> dict[str, float]:
    """How long the vectors have become, and how far they have turned, in radians: means over rows."""
    old, new = (torch.cat([c.vectors(name) for name in c.encoders]) for c in (begin, end))
    cosine = torch.nn.functional.cosine_similarity(old, new).clamp(-1, 1)
    return {"length": float((new.norm(dim=1) / old.norm(dim=1)).mean()), "turn": float(cosine.acos().mean())}


class Bench:
    """The model, the concepts, and the results so far, in a folder."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.out, self.seed = args.out, args.seed
        self.asked = {
            name: str(getattr(args, name)) for name in ("model", "dtype", "held_out", "sampler_steps", "first")
        }
        self.backbone = backbones.load(args.model, "cpu", args.dtype)
        folders = sorted(path.parent for path in args.concepts.glob("*/spec.json"))
        self.subjects = [Subject.read(folder) for folder in folders][: args.first]
        self.starts = [start("caption", list(s.views[:1]), self.backbone, s.name) for s in self.subjects]
        self.judge = Judge(self.backbone, self.subjects, GenerateSettings(batch=28, steps=args.sampler_steps))
        told = InvertSettings(held_out=args.held_out)
        pairs = zip(self.starts, self.subjects, strict=True)
        self.problems = [Problem(self.backbone, concept, s.views[:1], (), told) for concept, s in pairs]

    def measure(self, concepts: list[Concept], name: str | None) -> list[dict[str, float]]:
        """The held-out loss, the way gone and, under a name, the pictures' scores, of each concept."""
        found = []
        for problem, begin, concept in zip(self.problems, self.starts, concepts, strict=True):
            vectors = {encoder: concept.vectors(encoder) for encoder in concept.encoders}
            found.append({"loss": float(problem.held_out(vectors, 48).mean()), **way(begin, concept)})
        if name:
            scores, drawn = self.judge.score(concepts)
            found = [{**one, **score} for one, score in zip(found, scores, strict=True)]
            files.make_folder(self.out / "sheets")
            sheet([s.views[0] for s in self.subjects], drawn).save(self.out / "sheets" / f"{name}-s{self.seed}.png")
        return found

    def run(self, name: str, steps: int | None = None) -> dict[str, Any]:
        """Results of an arm, step -> concept's numbers; from the folder where they are there.

        ``steps``: how many, in place of its own.
        """
        arm = ARMS.get(name, Arm(Rule()))
        if steps:
            name, arm = f"{name}@{steps}", dataclasses.replace(arm, steps=steps)
        file = self.out / f"{name}-s{self.seed}.json"
        if file.exists():
            kept = dict(json.loads(file.read_text()))
            if (kept["asked"], kept["concepts"]) != (self.asked, [s.name for s in self.subjects]):
                sys.exit(f"{file} was measured otherwise ({kept['asked']}); give another --out")
            return kept
        began, found = time.process_time(), {}
        if name == "start":
            found = {0: self.measure(self.starts, name)}
        else:
            concepts = learned(self.backbone, arm, self.starts, self.subjects, self.seed)
            found = {step: self.measure(own, name if step == arm.steps else None) for step, own in concepts.items()}
        told = {"asked": self.asked, "concepts": [s.name for s in self.subjects]}
        result = {**told, "cpu": time.process_time() - began, "steps": found}
        files.make_folder(self.out)
        files.write_json(file, result)
        return dict(json.loads(file.read_text()))


def sheet(photos: list[Image.Image], drawn: list[list[Image.Image]], side: int = 128) -> Image.Image:
    """A row for each concept: its photo, then its pictures."""
    rows = [[photo, *pictures] for photo, pictures in zip(photos, drawn, strict=True)]
    whole = Image.new("RGB", (len(rows[0]) * (side + 2), len(rows) * (side + 2)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            whole.paste(picture.resize((side, side), Image.Resampling.BOX), (x * (side + 2), y * (side + 2)))
    return whole


def line(name: str, result: dict[str, Any], base: dict[str, Any] | None) -> str:
    """An arm in numbers; +- is the standard error of the difference to ``base``, paired by concept."""
    steps = {int(step): rows for step, rows in result["steps"].items()}
    losses = " ".join(f"{means(steps[at])['loss']:.4f}" if at in steps else "     -" for at in (0, *AT))
    last = steps[max(steps)]
    told = [f"{name:28} {losses}  x{means(last)['length']:.2f} {means(last)['turn']:.2f}"]
    for score in SCORED:
        told.append(f"{means(last)[score]:7.4f}")
        if base is not None:
            other = base["steps"][max(base["steps"], key=int)]
            gaps = torch.tensor([one[score] - two[score] for one, two in zip(last, other, strict=True)])
            told[-1] += f" ({gaps.mean():+.4f}+-{gaps.std() / math.sqrt(len(gaps)):.4f})"
    return " ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concepts", type=Path, required=True, help="folder of concepts, each laid out as the bank's")
    parser.add_argument("--out", type=Path, required=True, help="folder of results; arms that are there are not run")
    parser.add_argument("--arms", default=",".join(ARMS), help="names, with commas between (default: all)")
    parser.add_argument("--steps", type=int, help="of every arm but paper, in place of its own")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--first", type=int, help="only so many concepts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=int, default=48, help="tuples of the held-out loss (default: 48)")
    parser.add_argument("--sampler-steps", type=int, default=25)
    bench = Bench(args := parser.parse_args())
    print(f"{'':28} loss at 0, {', '.join(map(str, AT))}; length, turn (radians); {', '.join(SCORED)} (less paper's)")
    print(line("start", bench.run("start"), None), flush=True)
    base = bench.run("paper")
    print(line("paper", base, None), flush=True)
    for name in args.arms.split(","):
        if name not in ("start", "paper"):
            print(line(name, bench.run(name, args.steps), base), flush=True)


if __name__ == "__main__":
    main()
