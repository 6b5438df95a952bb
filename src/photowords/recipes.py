"""Recipes: named settings of an inversion, ours and what the method's sources state. What ``--recipe`` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photowords import fields
from photowords.errors import UserError
from photowords.settings import InvertSettings


@dataclass(frozen=True)
class Recipe:
    """A paper, a script or a way of ours, by what it says itself.

    Attributes:
        stated: settings of ``InvertSettings`` that it gives.
        where: in which text or file all that stands.
        dtype: the precision that it computes in; None where it does not say.
        base: the recipe on which it builds, which gives what it does not say itself.
        init: the start that it takes; None where it leaves that open.
    """

    stated: Mapping[str, Any]
    where: str
    dtype: str | None = None
    base: str | None = None
    init: str | None = None

    @property
    def inherited(self) -> dict[str, Any]:
        """What the base gives and the source itself does not."""
        if self.base is None:
            return {}
        base = RECIPES[self.base]
        return {name: value for name, value in {**base.stated, **base.inherited}.items() if name not in self.stated}

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that follow from it."""
        return {**self.inherited, **self.stated}

    @property
    def precision(self) -> str | None:
        """Its own dtype, or the base's."""
        return self.dtype or (RECIPES[self.base].precision if self.base else None)

    @property
    def unstated(self) -> tuple[str, ...]:
        """Settings that neither it nor its base gives, which stay ours."""
        return tuple(name for name in fields.fields(InvertSettings) if name not in self.settings)


# All of them take AdamW at one rate. The original scales its base rate of 5e-3 by batch and GPUs (one here), keeps
# AdamW's own weight decay, and squashes and mirrors photos where no option says otherwise.
_ADAMW = {
    "optimizer": "adamw",
    "noise": "independent",
    "draws": "independent",
    "average": "none",
    "weight_decay": 0.01,
}
_ORIGINAL = {
    **_ADAMW,
    "steps": 6100,
    "seed": 23,
    "templates": "textual-inversion",
    "resize": "squash",
    "flip": True,
}

RECIPES = {
    "fast": Recipe(
        {
            "steps": 50,
            "batch": 4,
            "optimizer": "tangent",
            "noise": "antithetic",
            "draws": "importance",
            "average": "running",
        },
        "photowords, the defaults: docs/lab-log.md",
    ),
    "paper": Recipe({"steps": 100}, "An Image is Worth One Sentence, its project page", base="textual-inversion-ldm"),
    "vanilla": Recipe(
        {"steps": 5000},
        "the star that An Image is Worth One Sentence compares with: Gal et al. 2022's code, one GPU",
        base="textual-inversion-ldm",
        init="star",
    ),
    "textual-inversion-ldm": Recipe(
        {"batch": 4, "lr": 0.02, **_ORIGINAL},
        "rinongal/textual_inversion: configs/latent-diffusion/txt2img-1p4B-finetune.yaml, ldm/data/personalized.py",
        "fp32",
    ),
    "textual-inversion-sd": Recipe(
        {"batch": 2, "lr": 0.01, **_ORIGINAL},
        "rinongal/textual_inversion: configs/stable-diffusion/v1-finetune.yaml, ldm/data/personalized.py",
        "fp32",
    ),
    "diffusers": Recipe(
        {
            **_ADAMW,
            "steps": 5000,
            "batch": 16,
            "lr": 1e-4,
            "templates": "diffusers",
            "resize": "squash",
            "flip": True,
        },
        "huggingface/diffusers: the defaults of examples/textual_inversion/textual_inversion.py",
        "fp32",
    ),
}


def named(name: str) -> Recipe:
    """A recipe by name. Raises UserError, which names all, for another."""
    if name not in RECIPES:
        raise UserError(f"there is no `recipe` {name!r}; choose from {', '.join(RECIPES)}")
    return RECIPES[name]


def recipe(name: str, **told: Any) -> InvertSettings:
    """A recipe's settings; those that are ``told`` win. Raises UserError for an unknown recipe or setting."""
    return fields.make(InvertSettings, {**named(name).settings, **told})


def explained(name: str) -> str:
    """What a recipe states, what its base gives and what stays ours, in a sentence."""
    told = named(name)

    def listed(settings: Mapping[str, Any]) -> str:
        ordered = [name for name in (*fields.fields(InvertSettings), "init", "dtype") if name in settings]
        return ", ".join(f"{name} {'yes' if settings[name] is True else settings[name]}" for name in ordered)

    beside = {"init": told.init, "dtype": told.dtype}
    own = {**told.stated, **{name: value for name, value in beside.items() if value}}
    parts = [f"it states {listed(own)}"]
    if told.base:
        base = {**told.inherited, **({} if told.dtype else {"dtype": told.precision})}
        parts.append(f"{told.base}, on whose code it builds, gives {listed(base)}")
    return "; ".join([*parts, f"not stated, and so ours: {', '.join(told.unstated)}"])
