"""Trains the pocket's judge: reads from a picture what was drawn, attribute by attribute.

``python -m recipes.pocket.judge`` writes ``recipes/pocket/judge.safetensors``.

The judge itself belongs to the recipe, not to the package: it measures whether a generated picture shows what
was asked for. It is trained on drawings only, never on generated pictures, but on drawings that are
blurred, shrunk and enlarged, and made noisy at random, so that it reads slightly soft pictures fairly. Its
trunk ships: the package's ``pocket-lpips`` and ``pocket-sifid`` see with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from photowords.metrics.features import Trunk
from recipes.pocket import data
from recipes.pocket.autoencoder import tensor
from recipes.pocket.scenes import SCENES, STYLES
from recipes.pocket.training import Plan, device, options, train
from recipes.pocket.world import EMBLEMS, OBJECTS, PATTERNS, TONES, Spec, colour_name, hue_distance

PLAN = Plan(steps=1_000, batch=96, lr=3e-3, weight_decay=0.01, ema=0.995)
WEIGHTS = Path(__file__).with_name("judge.safetensors")
HELD_OUT = 500

LOOKS = ("plain", *PATTERNS, "two-tone", *EMBLEMS)
KINDS = ("hue", *TONES)  # of the main colour
CHOICES = {"object": tuple(OBJECTS), "kind": KINDS, "look": LOOKS, "scene": tuple(SCENES), "style": tuple(STYLES)}
SIZES = [*map(len, CHOICES.values()), 2, 1]  # of the outputs: the choices, hue as (cos, sin), scale
SCALED = (*PATTERNS, "two-tone")  # the looks whose scale can be seen
COLOURED = ("photo", "pixel")  # the styles that show colours


@dataclass(frozen=True)
class Reading:
    """What the judge sees in a picture; the fields mean what they mean in ``Spec``.

    ``colour`` is one of the ten colour words; ``hue`` is in degrees, None for black and white; ``scale``
    is None for looks that have none. Colours read from sketches and blueprints are guesses.
    """

    object: str
    colour: str
    hue: float | None
    look: str
    scale: float | None
    scene: str
    style: str


class Judge(Trunk):
    """A small residual network, about 0.76M parameters, with one linear head for every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, 128)
        self.hidden = nn.Linear(2 * 128, 256)
        self.head = nn.Linear(256, sum(SIZES))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(n, 3, 64, 64) in [-1, 1] -> logits in the order of CHOICES, then hue (n, 2) and scale (n, 1)."""
        y = F.silu(self.norm(self.maps(pictures)[-1]))
        # The mean says how much there is of a thing, the maximum whether there is any.
        y = F.silu(self.hidden(torch.cat([y.mean((2, 3)), y.amax((2, 3))], 1)))
        return list(self.head(y).float().split(SIZES, 1))

    @torch.no_grad()
    def read(self, pictures: Tensor) -> list[Reading]:
        """Read pictures (n, 3, 64, 64) in [-1, 1]."""
        weight = self.head.weight
        parts = [self(part.to(weight.device, weight.dtype)) for part in pictures.split(100)]
        *choices, hues, scales = (torch.cat(outputs) for outputs in zip(*parts, strict=True))
        readings = []
        for number in range(len(pictures)):
            picked = {
                name: values[int(logits[number].argmax())]
                for (name, values), logits in zip(CHOICES.items(), choices, strict=True)
            }
            kind, (cos, sin) = picked.pop("kind"), hues[number].tolist()
            hue = math.degrees(math.atan2(sin, cos)) % 360 if kind == "hue" else None
            scale = scales[number].item() if picked["look"] in SCALED else None
            readings.append(Reading(colour=colour_name(kind if hue is None else hue), hue=hue, scale=scale, **picked))
        return readings


def load() -> Judge:
    """The trained judge, in fp32 on the CPU. Raises FileNotFoundError before it has been trained."""
    judge = Judge()
    judge.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
    return judge.eval()


def targets(specs: list[Spec]) -> tuple[Tensor, Tensor]:
    """What to answer: the choices (n, 5), and (n, 6): hue as cos and sin, scale, then 1 or 0 for whether the
    kind of colour, the hue and the scale can be seen at all."""
    chosen, measured = [], []
    for spec in specs:
        kind = spec.colour if isinstance(spec.colour, str) else "hue"
        named = {"object": spec.object, "kind": kind, "look": spec.look, "scene": spec.scene, "style": spec.style}
        chosen.append([values.index(named[name]) for name, values in CHOICES.items()])
        angle = 0.0 if isinstance(spec.colour, str) else math.radians(spec.colour)
        coloured = spec.style in COLOURED
        seen = [float(coloured), float(coloured and kind == "hue"), float(spec.look in SCALED)]
        measured.append([math.cos(angle), math.sin(angle), spec.scale, *seen])
    return torch.tensor(chosen), torch.tensor(measured)


def soften(x: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the pictures (n, 3, 64, 64) blurred, half resampled, all a little noisy; each by its own amount."""
    blur, small, noise = torch.rand(3, len(x), 1, 1, 1, generator=generator).to(x)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    resampled = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    x = torch.lerp(x, blurred, (2 * blur - 1).clamp(min=0))
    x = torch.lerp(x, resampled, (2 * small - 1).clamp(min=0))
    return x + 0.08 * noise**2 * torch.randn(x.shape, generator=generator).to(x)


def report(judge: Judge, pictures: Tensor, specs: list[Spec]) -> str:
    """How often the judge is right about drawings."""
    pairs = list(zip(judge.read(pictures), specs, strict=True))

    def share(right: list[bool]) -> str:
        return f"{sum(right) / max(1, len(right)):.3f}"

    hues = [
        seen.hue is not None and hue_distance(seen.hue, spec.colour) < 25
        for seen, spec in pairs
        if not isinstance(spec.colour, str)
    ]
    scales = [abs(r.scale - s.scale) for r, s in pairs if r.scale is not None and r.look == s.look]
    parts = [f"{name} {share([getattr(r, name) == getattr(s, name) for r, s in pairs])}" for name in ("object", "look")]
    parts += [f"colour word {share([r.colour == colour_name(s.colour) for r, s in pairs])}"]
    parts += [f"hue within 25 degrees {share(hues)}", f"scene {share([r.scene == s.scene for r, s in pairs])}"]
    return ", ".join([*parts, f"mean scale error {sum(scales) / max(1, len(scales)):.3f}"])


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    pictures, specs = data.load()
    photos = [number for number in range(HELD_OUT) if specs[number].style == "photo"]
    held_out, unseen = tensor(pictures[photos]).float().cpu(), [specs[number] for number in photos]
    pictures = pictures[HELD_OUT:]
    chosen, measured = (part.to(device()) for part in targets(specs[HELD_OUT:]))
    model = Judge()

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        index = torch.randint(len(pictures), (batch,), generator=generator)
        x = soften(tensor(pictures[index.numpy()]), generator)
        index = index.to(device())
        *choices, hue, scale = model(x)
        cos_sin, true_scale, coloured, has_hue, has_scale = measured[index].split([2, 1, 1, 1, 1], 1)
        total = 2 * (has_hue * (hue - cos_sin) ** 2).mean() + 4 * (has_scale * (scale - true_scale).abs()).mean()
        for name, logits, truth in zip(CHOICES, choices, chosen[index].T, strict=True):
            error = F.cross_entropy(logits, truth, reduction="none")
            total = total + (error * coloured[:, 0] if name == "kind" else error).mean()
        return total

    weights = train("judge", model, loss, plan)
    save_file({key: value.cpu().half().contiguous() for key, value in weights.items()}, WEIGHTS)
    judge = load()
    print(f"{len(photos)} unseen drawings: {report(judge, held_out, unseen)}")
    soft = soften(held_out, torch.Generator().manual_seed(1))
    print(f"the same, softened: {report(judge, soft, unseen)}")


if __name__ == "__main__":
    main()
