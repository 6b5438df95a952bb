"""What the readers are trained on: whole pictures, squares around one object, and objects cut out on white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket import data
from recipes.pocket.autoencoder import tensor
from recipes.pocket.training import noise
from recipes.pocket.world import Picture, Thing, cut_out

WHOLE, REGION, ALONE = range(3)
CUT_OUTS = 6_000  # drawn before training


@dataclass(frozen=True)
class Batch:
    """Pictures (n, 3, 128, 128) in [-1, 1], in ``precision()``, and what each shows.

    ``kinds`` are WHOLE, REGION (a square around one thing) or ALONE (cut out on white); ``things`` are those that a
    picture is of, left before right: all of a whole picture's, else one; ``sources`` are the drawings they come from.
    """

    pictures: Tensor
    kinds: list[int]
    things: list[tuple[Thing, ...]]
    sources: list[Picture]


def square(thing: Thing) -> tuple[float, float, float]:
    """The square around a thing: centre x, centre y and side, as fractions of the picture."""
    left, top, right, bottom = thing.box()
    return (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top)


def crop(pictures: Tensor, boxes: Tensor) -> Tensor:
    """Each picture (n, 3, h, w) cropped to a square (n, 3: centre x, y, side; fractions) and enlarged again."""
    x, y, side = boxes.to(pictures.device).unbind(1)
    zero = torch.zeros_like(x)
    # grid_sample's coordinates run from -1 to 1.
    rows = [torch.stack([side, zero, 2 * x - 1], 1), torch.stack([zero, side, 2 * y - 1], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False).to(pictures.dtype)


def left_to_right(picture: Picture) -> tuple[Thing, ...]:
    """The things of a picture in the order in which they are read; one above another comes first."""
    return tuple(sorted(picture.things, key=lambda thing: (thing.x, thing.y)))


def alone(thing: Thing) -> Picture:
    """The thing as large as a cut-out shows it (78 % of the square), in the middle."""
    left, top, right, bottom = thing.moved(x=0.0, y=0.0).box()
    size = thing.size * 0.78 / max(right - left, bottom - top)
    return Picture((thing.moved(size=size, x=0.5, y=0.5),))


def _cut_out(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(cut_out(picture.things[0]))


class Regions:
    """Draws batches from the pictures. ``shares`` says how often WHOLE, REGION and ALONE are shown."""

    def __init__(self, pictures: data.Pictures, specs: list[Picture], shares: tuple[float, float, float]) -> None:
        self.pictures, self.specs, self.shares = pictures, specs, shares
        chosen = specs[data.HELD_OUT : data.HELD_OUT + CUT_OUTS] if shares[ALONE] else []
        self._alone = [alone(spec.things[-1]) for spec in chosen]
        self._cut_outs = data.on_all_cores(_cut_out, self._alone)

    def batch(self, generator: torch.Generator, count: int) -> Batch:
        """A random batch of ``count`` pictures; none of those held out."""
        numbers = torch.randint(data.HELD_OUT, len(self.specs), (count,), generator=generator).tolist()
        chances, jitter = torch.rand(count, generator=generator).tolist(), torch.rand(count, 4, generator=generator)
        stack, kinds, things, sources = self.pictures[np.array(numbers)].copy(), [], [], []
        boxes = torch.tensor([[0.5, 0.5, 1.0]]).repeat(count, 1)
        for i, (number, chance) in enumerate(zip(numbers, chances, strict=True)):
            kind = WHOLE if chance < self.shares[0] else REGION if chance < sum(self.shares[:2]) else ALONE
            source, said = self.specs[number], left_to_right(self.specs[number])
            if kind == ALONE:
                source = self._alone[number % len(self._alone)]
                stack[i], said = self._cut_outs[number % len(self._alone)], source.things
            if kind == REGION:
                said = (said[int(float(jitter[i, 3]) * len(said))],)
            if kind != WHOLE:
                x, y, side = square(said[0])
                # As a click gives: a margin of -5 to 25 percent, the object a little off the centre.
                margin = 0.95 + 0.30 * float(jitter[i, 2])
                aside = [side * 0.08 * (float(value) - 0.5) for value in jitter[i, :2]]
                boxes[i] = torch.tensor([x + aside[0], y + aside[1], side * margin])
            kinds.append(kind)
            things.append(said)
            sources.append(source)
        shown, cut = soften(tensor(stack), generator), torch.tensor([kind != WHOLE for kind in kinds])
        if cut.any():  # a worker's share of a batch may be small
            shown[cut] = crop(shown[cut], boxes[cut])
        return Batch(shown, kinds, things, sources)


def soften(x: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the pictures (n, 3, h, w) blurred, half resampled, all a little noisy; each by its own amount.

    So a reader reads slightly soft pictures fairly, and small objects enlarged.
    """
    blur, small, grain = torch.rand(3, len(x), 1, 1, 1, generator=generator).to(x)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    resampled = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    x = torch.lerp(x, blurred, (2 * blur - 1).clamp(min=0))
    x = torch.lerp(x, resampled, (2 * small - 1).clamp(min=0))
    return x + 0.08 * grain**2 * noise(x, generator).to(x)


def held_out(style: str | None = "photo") -> tuple[Tensor, list[Picture]]:
    """The drawings that no part is trained on, (n, 3, 128, 128) float32, and their specs; of a style or (None) all."""
    pictures, specs = data.load(data.drawn()[:1])
    numbers = [n for n in range(data.HELD_OUT) if style in (None, specs[n].style)]
    return tensor(pictures[np.array(numbers)]).float().cpu(), [specs[n] for n in numbers]
