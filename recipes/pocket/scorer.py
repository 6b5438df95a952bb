"""Trains the second, independent scorer of the pocket model: are two pictures of the same thing?

``python -m recipes.pocket.scorer`` writes ``scorer.safetensors`` beside this recipe's other checkpoints.

It shares nothing with the CLIP and the judge that everything else is measured and tuned with: neither weights, seed,
architecture, pictures nor task. It reads no words. From two drawings of one thing, in different scenes, places and
sizes, it learns to find the one by the other among many, half of which are of the same object or colour (InfoNCE). A
claim that holds by the pocket's CLIP can so be checked on a scorer that nothing was tuned on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from recipes.pocket import data
from recipes.pocket.autoencoder import tensor
from recipes.pocket.regions import soften
from recipes.pocket.sample import placed, random_picture, random_thing
from recipes.pocket.training import CHECKPOINTS, Plan, options, save_tracked, train, warm_start, workers
from recipes.pocket.world import SIZES, Picture, Thing

PLAN = Plan(steps=800, batch=128, lr=2e-3, weight_decay=0.02, ema=0.995)
WEIGHTS = CHECKPOINTS / "scorer.safetensors"
THINGS = 24_000  # drawn before training, each in VIEWS pictures
VIEWS = 2
FAMILY = 4  # things in a row that are alike in object, or in colour and look
WIDTH = 128  # of the common space


class Mix(nn.Module):
    """Mixes places, channel by channel, by one large matrix; then channels, place by place (an MLP-Mixer's layer)."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.places = nn.Sequential(nn.Linear(places, 2 * places), nn.GELU(), nn.Linear(2 * places, places))
        self.channels = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.places(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        result: Tensor = x + self.channels(self.norms[1](x))
        return result


class Scorer(nn.Module):
    """Two strided convolutions, then an MLP-Mixer over 8 x 8 places: no attention and no residual convolutions."""

    def __init__(self) -> None:
        super().__init__()
        width = 160
        self.conv_in = nn.Conv2d(3, 48, 6, 4, 1)
        self.down = nn.Conv2d(48, width, 4, 4)
        self.layers = nn.Sequential(*(Mix(64, width) for _ in range(5)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(2 * width, WIDTH)
        self.scale = nn.Parameter(torch.tensor(2.5))  # log of the inverse temperature

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, 128, 128) in [-1, 1] -> unit vectors (n, 128): the cosine of two says how alike they are."""
        x = F.gelu(self.down(F.gelu(self.conv_in(pictures))))
        x = self.norm(self.layers(x.flatten(2).transpose(1, 2)))
        return F.normalize(self.head(torch.cat([x.mean(1), x.amax(1)], 1)).float(), dim=-1)


def load() -> Scorer:
    """The trained scorer, in fp32 on the CPU. Raises FileNotFoundError before it has been trained."""
    scorer = Scorer()
    scorer.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
    return scorer.eval()


def families(rng: np.random.Generator, count: int) -> list[Thing]:
    """Random things; each FAMILY in a row has one object, or one colour and look, so that both must be looked at."""
    things: list[Thing] = []
    while len(things) < count:
        first = random_thing(rng)
        same: dict[str, Any] = {"object": first.object}
        if rng.random() < 0.5:
            same = {"colour": first.colour, "look": first.look, "second": first.second}
        things += [first, *(random_thing(rng, **same) for _ in range(FAMILY - 1))]
    return things[:count]


def view(rng: np.random.Generator, thing: Thing) -> Picture:
    """The thing in a random scene, size and place, as a photo."""
    scene = random_picture(rng, 1, style="photo")
    moved = thing.moved(size=float(rng.choice(SIZES)))
    return scene.moved(things=(placed(rng, moved, scene.scene),))


def drawn(seed: int, count: int) -> tuple[np.ndarray, list[Thing]]:
    """Things and their pictures, uint8 (count, VIEWS, 128, 128, 3)."""
    rng = np.random.default_rng([seed, 2])
    things = families(rng, count)
    views = [view(rng, thing) for thing in things for _ in range(VIEWS)]
    pictures = np.stack(data.on_all_cores(data.pixels, views))
    return pictures.reshape(count, VIEWS, *pictures.shape[1:]), things


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(4242)
    rank, count = workers()
    pictures, _ = drawn(4242 + rank, THINGS // count)  # each worker its own
    model = Scorer()
    if plan.warm:
        warm_start(model, load_file(WEIGHTS))

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        # Batches of whole families.
        first = torch.randint(len(pictures) // FAMILY, (batch // FAMILY,), generator=generator) * FAMILY
        rows = (first[:, None] + torch.arange(FAMILY)).flatten().unique().numpy()
        one, other = (model(soften(tensor(pictures[rows, k]), generator)) for k in range(VIEWS))
        logits = model.scale.float().exp().clamp(max=50) * one @ other.T
        target = torch.arange(len(rows), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    weights, done = train("scorer", model, loss, plan)
    if not done:
        return
    save_tracked(weights, WEIGHTS)
    print(report(load()))


@torch.no_grad()
def report(scorer: Scorer) -> str:
    """How often it finds the other picture of a thing, among all of 400 things and among the 4 of its family."""
    pictures, _ = drawn(7, 400)
    one, other = (
        torch.cat([scorer(tensor(part).float().cpu()) for part in np.split(pictures[:, k], 8)]) for k in range(2)
    )
    cosines = one @ other.T
    right = (cosines.argmax(1) == torch.arange(400)).float().mean()
    inside = torch.stack([cosines[i : i + FAMILY, i : i + FAMILY] for i in range(0, 400, FAMILY)])
    family = (inside.argmax(2) == torch.arange(FAMILY)).float().mean()
    return f"finds the other of two pictures among 400 in {right:.3f}, among 4 of a family in {family:.3f}"


if __name__ == "__main__":
    main()
