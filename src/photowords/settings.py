"""Frozen, checked settings. Command-line options, run folders, studies and the Python API all come from them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from photowords import fields
from photowords.errors import UserError
from photowords.fields import option
from photowords.templates import PROPERTIES, TEMPLATES

BACKGROUND_WEIGHT = 0.1
"""What a cell outside the mask weighs where nobody says."""

RHO = {"tangent": 0.3, "adamw": 0.22}
"""Optimiser -> rate where nobody says, AdamW's of batch 4 and with the root of a batch: 0.031 on the pocket, and on
CLIP-L about 0.003, what practitioners use. A turn's length is no gradient's, and the same for every batch."""

SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""Short name -> diffusers class. (Checked against diffusers by a test.)"""

EXPORTS = {
    "photowords": "photowords",
    "diffusers": "diffusers",
    "a1111": "A1111 (and Forge)",
    "kohya": "kohya's sd-scripts",
    "comfyui": "ComfyUI",
    "invokeai": "InvokeAI",
    "onetrainer": "OneTrainer",
    "original": "the original textual inversion",
}
"""Tools that a concept can be written for, and what they are called. What each demands stands in ``formats.TOOLS``."""

SCORERS = ("clip", "dino", "dinov2", "weights")
"""Where scores come from that are not the model's own: folders or hub names, and the folder of weight files."""

RENAMED = {"kind": "learnable_property"}
"""Names of ``InvertSettings`` in older run folders -> today's."""


@dataclass(frozen=True)
class InvertSettings:
    """How one inversion runs.

    ``batch`` is that of the original textual inversion's latent diffusion model, on which the paper builds. The others
    are ours: on the pocket half of the paper's ``steps`` give as good a likeness, and more of them begin to learn
    the photo's background (docs/lab-log.md). What the sources give stands in ``recipes``.
    """

    steps: int = option(50, "optimiser steps", least=1, most=10**7, metavar="N")
    batch: int = option(4, "noise and timestep draws a step", least=1, most=10**5, metavar="N")
    lr: float | str | None = option(
        None,
        "learning rate; with rho: before it, the length of a step against that of the model's own word vectors",
        above=0,
        prefix="rho:",
        unset=f"rho:{RHO['tangent']:g}, of AdamW rho:{RHO['adamw']:g} x the root of batch / 4",
        metavar="RATE",
    )
    optimizer: str = option(
        "tangent",
        "how a gradient becomes a step: tangent turns each vector and leaves its length, AdamW is the sources'",
        choices=("tangent", "adamw"),
        metavar="NAME",
    )
    noise: str = option(
        "antithetic",
        "a batch's noise: each with its negative, or each its own",
        choices=("antithetic", "independent"),
        metavar="NAME",
    )
    draws: str = option(
        "importance",
        "a run's timesteps and templates: evenly spread over its steps, or each drawn for itself; importance spreads "
        "them too, in models that predict noise (not the pocket) with more timesteps where words learn most from them, "
        "each weighing as much less",
        choices=("importance", "spread", "independent"),
        metavar="NAME",
    )
    average: str = option(
        "running",
        "what is learned: an average of the steps in which later ones weigh more, near which their gradients are taken "
        "(schedule-free), or the last step's own",
        choices=("running", "none"),
        metavar="NAME",
    )
    weight_decay: float = option(0.0, "AdamW's pull on the vectors towards zero", least=0, metavar="RATE")
    seed: int = option(0, "of the noise, the timesteps, and the order of photos and templates", least=0, metavar="N")
    templates: str = option(
        "distinct",
        "whose list of templates: diffusers' with each once or as it is, or the 81 of textual inversion's own code",
        choices=tuple(TEMPLATES),
        metavar="LIST",
    )
    resize: str = option(
        "crop",
        "how a photo becomes a square: cut out of it, or squashed as the published scripts do",
        choices=("crop", "squash"),
        metavar="HOW",
    )
    learnable_property: str = option(
        "object",
        "what of the photo is learned, which says into which templates the sentence is put",
        choices=PROPERTIES,
        metavar="WHAT",
    )
    held_out: int = option(
        96, "fixed (timestep, noise, template) tuples of the held-out loss", least=1, most=10**5, metavar="N"
    )
    evaluate_every: int = option(25, "steps between held-out losses and checkpoints", least=1, metavar="N")
    evaluate_at: tuple[int, ...] | None = option(
        None,
        "the steps of the held-out losses and checkpoints instead; 0 and the last always are",
        least=0,
        metavar="STEPS",
    )
    background_weight: float | None = option(
        None,
        "what the loss outside the selected object counts",
        least=0,
        most=1,
        unset=f"{BACKGROUND_WEIGHT:g}; 1 when nothing is selected",
        metavar="W",
    )
    flip: bool = option(False, "learn from the mirrored photo as well")

    def __post_init__(self) -> None:
        fields.check(self)
        if self.weight_decay and self.optimizer != "adamw":
            raise UserError(
                f"`weight_decay` is AdamW's, and `optimizer` {self.optimizer} keeps every vector's length; "
                "make it 0, or take `optimizer` adamw"
            )
        if late := [step for step in self.evaluate_at or () if step > self.steps]:
            raise UserError(f"`evaluate_at` asks for step {late[0]}, but there are only {self.steps} `steps`")

    @property
    def rho(self) -> float | None:
        """The length of a step against that of a typical word's vector; None where ``lr`` is a number.

        lr = rho x the root mean square of such a vector's coordinates: Adam's first step moves each by lr.
        """
        if self.lr is None:
            return RHO[self.optimizer] * (math.sqrt(self.batch / 4) if self.optimizer == "adamw" else 1)
        return float(self.lr.removeprefix("rho:")) if isinstance(self.lr, str) else None

    def means(self, name: str, value: Any) -> bool:
        """Whether ``value`` for a field is what these settings say, in their own words or, of a rate, in others."""
        try:
            other = replace(self, **{name: value})
        except UserError:  # it does not go with the others, so it is none of theirs
            return False
        return other == self or (name == "lr" and other.rho is not None and other.rho == self.rho)

    def is_evaluated(self, step: int) -> bool:
        """Whether the held-out loss is measured after so many steps."""
        if step in (0, self.steps):
            return True
        return step % self.evaluate_every == 0 if self.evaluate_at is None else step in self.evaluate_at

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """From a run folder's settings, older names understood; raises UserError on a field that nobody knows."""
        return fields.make(cls, {RENAMED.get(name, name): value for name, value in told.items()})


@dataclass(frozen=True)
class GenerateSettings:
    """How pictures are sampled. None is the model's own value (``Backbone.sampling``).

    ``guidance`` is classifier-free, but where a network was distilled to take it as an input, as FLUX.1 dev was:
    there ``true_cfg_scale`` is the classifier-free one, diffusers' name for it. A negative prompt needs a
    classifier-free one above 1.
    """

    # The families' files hold the models' own values; a test compares what is said of them here.
    steps: int | None = option(
        None,
        "sampler steps",
        least=1,
        unset="the model's own: 25, of Stable Diffusion 3 and FLUX.1-dev 28, of FLUX.1-schnell 4",
        metavar="N",
    )
    guidance: float | None = option(
        None,
        "guidance scale; 1 is without",
        least=1,
        unset="the model's own: 5, of Stable Diffusion 3 4.5, of FLUX.1-dev 3.5; FLUX.1-schnell has none",
        metavar="SCALE",
    )
    scheduler: str = option("default", "how noise is taken away", choices=("default", *SCHEDULERS), metavar="NAME")
    negative: str = option("", "what the pictures should not show", metavar="TEXT")
    batch: int = option(8, "pictures at once", least=1, most=10**5, metavar="N")
    true_cfg_scale: float | None = option(
        None,
        "of FLUX.1, classifier-free guidance scale beside its own, which a negative prompt needs; doubles the time",
        least=1,
        unset="1",
        metavar="SCALE",
    )

    def __post_init__(self) -> None:
        fields.check(self)


NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def check_name(name: str) -> None:
    """Raise UserError unless prompts can call a concept so."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"the concept's `name` {name!r} cannot be used in a prompt; "
            "use letters, digits, '-' and '_', beginning with a letter"
        )


def parse_seeds(text: str) -> list[int]:
    """Seeds as people write them: "3", "0-3", "0,7,9-11". Raises UserError on anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first]
        if not all(number.isascii() and number.isdecimal() and len(number) < 100 for number in numbers):
            raise UserError(f"seeds {text!r} are not understood; write them like 0-3 or 0,5,7")
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high - low >= 10_000 or high >= 2**32:  # torch uses 32 bits of a seed
            raise UserError(f"seeds {text!r} are not a range of at most 10,000 seeds below 2**32; write them like 0-3")
        seeds.extend(range(low, high + 1))
    if twice := [seed for seed, times in Counter(seeds).items() if times > 1]:
        raise UserError(f"seeds {text!r} have {twice[0]} twice; name each once")
    return seeds
