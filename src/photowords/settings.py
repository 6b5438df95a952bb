"""Frozen, checked settings. Command-line options, run folders and the Python API all come from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from photowords.errors import UserError

KINDS = ("object", "style")


def _at_least(name: str, value: float, least: float, whole: bool = True) -> None:
    if not (isinstance(value, int if whole else (int, float)) and math.isfinite(value) and value >= least):
        raise UserError(f"{name} is {value}, but it must be at least {least}{' and whole' if whole else ''}")


@dataclass(frozen=True)
class InvertSettings:
    """How one inversion runs; the defaults are the paper's.

    Attributes:
        steps: optimiser steps.
        batch: noise and timestep draws a step (UNet sample-steps = steps x batch).
        lr: AdamW's rate; None is 5e-3 x batch, the original textual inversion's scaled rate.
        weight_decay: AdamW's, pulling towards zero.
        seed: of the timesteps, the noise and the order of photos and templates.
        kind: "object" or "style": which templates the sentence is put into.
        held_out: fixed (t, noise, template) tuples of the held-out loss.
        evaluate_every: steps between held-out losses; step 0 and the last are always evaluated.
        evaluate_at: the steps of the held-out losses instead; step 0 and the last are evaluated as well.
        background_weight: what a latent cell outside the mask weighs in both losses, against 1 inside; None is 0.1.
        flip: learn from the mirrored photo as well.
    """

    steps: int = 100
    batch: int = 4
    lr: float | None = None
    weight_decay: float = 0.01
    seed: int = 0
    kind: str = "object"
    held_out: int = 96
    evaluate_every: int = 25
    evaluate_at: tuple[int, ...] | None = None
    background_weight: float | None = None
    flip: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "held_out", "evaluate_every"):
            _at_least(name, getattr(self, name), 1)
        _at_least("seed", self.seed, 0)
        _at_least("weight_decay", self.weight_decay, 0, whole=False)
        if self.lr is not None and not (math.isfinite(self.lr) and self.lr > 0):
            raise UserError(f"lr is {self.lr}, but the learning rate must be above 0")
        if self.kind not in KINDS:
            raise UserError(f"kind is {self.kind!r}, but it must be one of {', '.join(KINDS)}")
        if self.background_weight is not None and not 0 <= self.background_weight <= 1:
            raise UserError(f"background_weight is {self.background_weight}, but it must be from 0 to 1")
        for step in self.evaluate_at or ():
            _at_least("each step of evaluate_at", step, 0)

    @property
    def learning_rate(self) -> float:
        """The rate that AdamW gets."""
        return 5e-3 * self.batch if self.lr is None else self.lr

    def is_evaluated(self, step: int) -> bool:
        """Whether the held-out loss is measured after so many steps."""
        if step in (0, self.steps):
            return True
        return step % self.evaluate_every == 0 if self.evaluate_at is None else step in self.evaluate_at

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """From a run folder's settings; raises UserError on a field that this version does not know."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            raise UserError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(known))}")
        if isinstance(at := fields.get("evaluate_at"), list):  # JSON has no tuples
            fields = {**fields, "evaluate_at": tuple(at)}
        return cls(**fields)


@dataclass(frozen=True)
class GenerateSettings:
    """How pictures are sampled.

    Attributes:
        steps: sampler steps.
        guidance: classifier-free guidance scale; 1 turns it off.
        scheduler: "default" (the model's own) or a name of ``SCHEDULERS``.
        negative: the negative prompt.
        batch: pictures sampled at once.
    """

    steps: int = 25
    guidance: float = 5.0
    scheduler: str = "default"
    negative: str = ""
    batch: int = 8

    def __post_init__(self) -> None:
        _at_least("steps", self.steps, 1)
        _at_least("batch", self.batch, 1)
        _at_least("guidance", self.guidance, 0, whole=False)
        if self.scheduler != "default" and self.scheduler not in SCHEDULERS:
            raise UserError(f"scheduler {self.scheduler!r} is unknown; choose from default, {', '.join(SCHEDULERS)}")


SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""Short name -> diffusers class. (Checked against diffusers by a test.)"""


def parse_seeds(text: str) -> list[int]:
    """Seeds as people write them: "3", "0-3", "0,7,9-11". Raises UserError on anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first]
        if not all(number.isascii() and number.isdecimal() for number in numbers):
            raise UserError(f"seeds {text!r} are not understood; write them like 0-3 or 0,5,7")
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high - low >= 10_000 or high >= 2**32:  # torch uses 32 bits of a seed
            raise UserError(f"seeds {text!r} are not a range of at most 10,000 seeds below 2**32; write them like 0-3")
        seeds.extend(range(low, high + 1))
    return seeds
