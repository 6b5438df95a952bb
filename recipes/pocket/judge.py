"""Trains the pocket's judge: finds the objects in a picture and reads the look of each.

``python -m recipes.pocket.judge`` writes ``checkpoints/judge.safetensors``, which ships with the recipe.

The judge measures whether a generated picture shows what was asked for. It is trained on drawings only, never on
generated pictures, but on drawings that are blurred, resampled and made noisy at random, so that it reads slightly
soft pictures fairly. It first says which of the objects are there; then, asked about one of them, it looks at the
picture through a query for that object. So colours are read of each object of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from photowords.metrics.features import Trunk
from recipes.pocket import data
from recipes.pocket.regions import REGION, Batch, Regions, held_out, soften
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.sprites import LOOKS, OBJECTS, TONES, Colour
from recipes.pocket.training import CHECKPOINTS, Plan, options, save_tracked, train, warm_start
from recipes.pocket.world import SCALES, Picture, Thing, colour_name, hue_distance

PLAN = Plan(steps=1_000, batch=96, lr=3e-3, weight_decay=0.01, ema=0.995)
WEIGHTS = CHECKPOINTS / "judge.safetensors"
NAMES = tuple(OBJECTS)
KINDS = ("hue", *TONES)  # of a colour
COLOURED = ("photo", "pixel")  # the styles that show colours
SIZES = (len(LOOKS), len(KINDS), 2, len(KINDS), 2, 1)  # look; kind and hue (cos, sin) of both colours; scale
HEADS = 4  # of the query's attention


@dataclass(frozen=True)
class Seen:
    """What the judge sees of one object; the fields mean what they mean in ``Thing``.

    ``sure`` in [0, 1] says how sure it is that the object is there. ``scale`` is None for looks that have none.
    Colours read from sketches and blueprints are guesses.
    """

    object: str
    sure: float
    colour: Colour
    look: str
    second: Colour
    scale: float | None


@dataclass(frozen=True)
class Reading:
    """The objects in a picture, the surest first (at least one), its scene and its style."""

    things: tuple[Seen, ...]
    scene: str
    style: str


class Judge(Trunk):
    """The trunk, heads for the whole picture, and a query for each object."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, 128)
        self.hidden = nn.Linear(2 * 128, 256)
        self.head = nn.Linear(256, len(NAMES) + len(SCENES) + len(STYLES))
        self.query_embedding = nn.Embedding(len(NAMES), 128)
        self.key = nn.Conv2d(128, 128, 1)
        self.value = nn.Conv2d(128, 128, 1)
        self.read_hidden = nn.Linear(2 * 128, 256)
        self.read_head = nn.Linear(256, sum(SIZES))

    def see(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (n, 3, 128, 128) -> their map (n, 128, 16, 16), and logits: objects (n, 40), scenes, styles."""
        features = F.silu(self.norm(self.maps(pictures)[-1]))
        # The mean says how much there is of a thing, the maximum whether there is any.
        y = F.silu(self.hidden(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)))
        return features, list(self.head(y).float().split([len(NAMES), len(SCENES), len(STYLES)], 1))

    def ask(self, features: Tensor, rows: Tensor, objects: Tensor) -> list[Tensor]:
        """What object ``objects[i]`` of picture ``rows[i]`` looks like: outputs of SIZES for each i."""
        query = self.query_embedding(objects)
        key, value = (layer(features).flatten(2).unflatten(1, (HEADS, -1))[rows] for layer in (self.key, self.value))
        scores = (query.unflatten(1, (HEADS, -1))[..., None] * key).sum(2).float() / math.sqrt(128 / HEADS)
        weights = scores.softmax(-1).to(value.dtype)
        looked = (value * weights[:, :, None]).sum(-1).flatten(1)
        y = F.silu(self.read_hidden(torch.cat([looked, query], 1)))
        return list(self.read_head(y).float().split(SIZES, 1))

    @torch.no_grad()
    def read(self, pictures: Tensor) -> list[Reading]:
        """Read pictures (n, 3, 128, 128) in [-1, 1]."""
        weight = self.head.weight
        return [reading for part in pictures.to(weight.device, weight.dtype).split(50) for reading in self._read(part)]

    def _read(self, pictures: Tensor) -> list[Reading]:
        features, (objects, scenes, styles) = self.see(pictures)
        sure, order = objects.sigmoid().sort(1, descending=True)
        rows = torch.arange(len(pictures)).repeat_interleave(2)
        answers = self.ask(features, rows, order[:, :2].flatten())
        readings = []
        for n in range(len(pictures)):
            things = [
                self._seen(int(order[n, k]), float(sure[n, k]), [answer[2 * n + k] for answer in answers])
                for k in range(2)
                if k == 0 or sure[n, k] > 0.5
            ]
            scene, style = list(SCENES)[int(scenes[n].argmax())], list(STYLES)[int(styles[n].argmax())]
            readings.append(Reading(tuple(things), scene, style))
        return readings

    @staticmethod
    def _seen(number: int, sure: float, answers: list[Tensor]) -> Seen:
        look = LOOKS[int(answers[0].argmax())]
        colours: list[Colour] = []
        for kind, hue in (answers[1:3], answers[3:5]):
            name, (cos, sin) = KINDS[int(kind.argmax())], hue.tolist()
            colours.append(math.degrees(math.atan2(sin, cos)) % 360 if name == "hue" else name)
        return Seen(NAMES[number], sure, colours[0], look, colours[1], float(answers[5]) if look in SCALES else None)


def load() -> Judge:
    """The trained judge, in fp32 on the CPU. Raises FileNotFoundError before it has been trained."""
    judge = Judge()
    judge.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
    return judge.eval()


def loss_of(model: Judge, batch: Batch) -> Tensor:
    """What the judge gets wrong about a batch."""
    device = batch.pictures.device
    features, (objects, scenes, styles) = model.see(batch.pictures)
    there, known = torch.zeros(len(batch.kinds), len(NAMES)), torch.ones(len(batch.kinds), len(NAMES))
    asked: list[tuple[int, Thing, bool]] = []
    for n, (things, source) in enumerate(zip(batch.things, batch.sources, strict=True)):
        for thing in source.things:  # of what else a region shows, nobody knows how much
            known[n, NAMES.index(thing.object)] = 0
        for thing in things:
            known[n, NAMES.index(thing.object)] = there[n, NAMES.index(thing.object)] = 1
            asked.append((n, thing, source.style in COLOURED))
    wrong = F.binary_cross_entropy_with_logits(objects, there.to(device), reduction="none")
    total = 20 * (wrong * known.to(device)).mean()
    whole = torch.tensor([float(kind != REGION) for kind in batch.kinds], device=device)
    for logits, truth in (
        (scenes, [list(SCENES).index(source.scene) for source in batch.sources]),
        (styles, [list(STYLES).index(source.style) for source in batch.sources]),
    ):
        total = (
            total + 0.5 * (F.cross_entropy(logits, torch.tensor(truth, device=device), reduction="none") * whole).mean()
        )
    rows = torch.tensor([n for n, _, _ in asked], device=device)
    numbers = torch.tensor([NAMES.index(thing.object) for _, thing, _ in asked], device=device)
    look, *colours, scale = model.ask(features, rows, numbers)
    looks = torch.tensor([LOOKS.index(thing.look) for _, thing, _ in asked], device=device)
    total = total + F.cross_entropy(look, looks)
    mains, seconds = [thing.colour for _, thing, _ in asked], [thing.second for _, thing, _ in asked]
    shown = torch.tensor([float(coloured) for _, _, coloured in asked], device=device)
    has_second = torch.tensor([float(thing.look != "plain") for _, thing, _ in asked], device=device)
    total = total + colour_loss(mains, shown, colours[0], colours[1])
    total = total + colour_loss(seconds, shown * has_second, colours[2], colours[3])
    scales = torch.tensor([thing.scale for _, thing, _ in asked], device=device)
    has = torch.tensor([float(thing.look in SCALES) for _, thing, _ in asked], device=device)
    return total + 4 * (has * (scale[:, 0] - scales).abs()).mean()


def colour_loss(colours: list[Colour], weight: Tensor, kind: Tensor, hue: Tensor) -> Tensor:
    """What is wrong about colours, where ``weight`` (n,) is 1: logits (n, 3), cos and sin (n, 2)."""
    kinds = [KINDS.index(colour) if isinstance(colour, str) else 0 for colour in colours]
    angles = [0.0 if isinstance(colour, str) else math.radians(colour) for colour in colours]
    drawn, angle = torch.tensor(kinds, device=weight.device), torch.tensor(angles, device=weight.device)
    off = (hue - torch.stack([angle.cos(), angle.sin()], 1)).square().sum(1)
    wrong = F.cross_entropy(kind, drawn, reduction="none") + 1.5 * (drawn == 0) * off
    return (weight * wrong).mean()


def near(colour: Colour, seen: Colour) -> bool:
    """Whether a colour is seen as it is: the same tone, or a hue no more than 25 degrees off."""
    if isinstance(colour, str) or isinstance(seen, str):
        return colour == seen
    return hue_distance(colour, seen) <= 25


def report(judge: Judge, pictures: Tensor, specs: list[Picture]) -> str:
    """How often the judge is right about drawings."""
    parts = []
    readings = judge.read(pictures)
    for count, name in ((1, "one object"), (2, "two objects")):
        pairs = [(r, s) for r, s in zip(readings, specs, strict=True) if len(s.things) == count]
        found = [{seen.object: seen for seen in r.things} for r, _ in pairs]
        both = [set(f) == {t.object for t in s.things} for f, (_, s) in zip(found, pairs, strict=True)]
        asked = [(t, f[t.object]) for f, (_, s) in zip(found, pairs, strict=True) for t in s.things if t.object in f]
        hued = [near(t.colour, seen.colour) for t, seen in asked if not isinstance(t.colour, str)]
        toned = [near(t.colour, seen.colour) for t, seen in asked if isinstance(t.colour, str)]
        named = [colour_name(t.colour) == colour_name(seen.colour) for t, seen in asked]
        shares = {
            "objects": both,
            "hue within 25 degrees": hued,
            "black or white": toned,
            "colour word": named,
            "look": [t.look == seen.look for t, seen in asked],
            "second colour": [near(t.second, seen.second) for t, seen in asked if t.look != "plain"],
            "scene": [r.scene == s.scene for r, s in pairs],
        }
        said = ", ".join(f"{key} {sum(right) / max(1, len(right)):.3f}" for key, right in shares.items())
        parts.append(f"{name} ({len(pairs)}): {said}")
    return "\n".join(parts)


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    draws = Regions(*data.load(data.drawn()), (0.7, 0.3, 0.0))
    model = Judge()
    if plan.warm:
        warm_start(model, load_file(WEIGHTS))
    weights, done = train("judge", model, lambda generator, batch: loss_of(model, draws.batch(generator, batch)), plan)
    if not done:
        return
    save_tracked(weights, WEIGHTS)
    pictures, specs = held_out()
    print(report(load(), pictures, specs))
    print(f"softened:\n{report(load(), soften(pictures, torch.Generator().manual_seed(1)), specs)}")


if __name__ == "__main__":
    main()
