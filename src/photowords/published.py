"""What the sources of the method state about how they ran, as settings: what ``--like`` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photowords import fields
from photowords.errors import UserError
from photowords.settings import InvertSettings


@dataclass(frozen=True)
class Published:
    """A paper or a script, by what it says itself.

    Attributes:
        stated: settings of ``InvertSettings`` that it gives.
        dtype: the precision that it computes in; None where it does not say.
        base: the source on whose code it builds, which gives what it does not say itself.
        where: in which text or file all that stands.
    """

    stated: Mapping[str, Any]
    dtype: str | None
    base: str | None
    where: str

    @property
    def inherited(self) -> dict[str, Any]:
        """What the base gives and the source itself does not."""
        if self.base is None:
            return {}
        base = PUBLISHED[self.base]
        return {name: value for name, value in {**base.stated, **base.inherited}.items() if name not in self.stated}

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that follow from it."""
        return {**self.inherited, **self.stated}

    @property
    def precision(self) -> str | None:
        """Its own dtype, or the base's."""
        return self.dtype or (PUBLISHED[self.base].precision if self.base else None)

    @property
    def unstated(self) -> tuple[str, ...]:
        """Settings that neither it nor its base gives, which stay ours."""
        return tuple(name for name in fields.fields(InvertSettings) if name not in self.settings)


# The original scales its base rate of 5e-3 by batch and GPUs (one here), keeps AdamW's own weight decay, and squashes
# and mirrors photos where no option says otherwise.
_ORIGINAL = {
    "steps": 6100,
    "weight_decay": 0.01,
    "seed": 23,
    "templates": "textual-inversion",
    "resize": "squash",
    "flip": True,
}

PUBLISHED = {
    "paper": Published(
        {"steps": 100}, None, "textual-inversion-ldm", "An Image is Worth One Sentence, its project page"
    ),
    "textual-inversion-ldm": Published(
        {"batch": 4, "lr": 0.02, **_ORIGINAL},
        "fp32",
        None,
        "rinongal/textual_inversion: configs/latent-diffusion/txt2img-1p4B-finetune.yaml, ldm/data/personalized.py",
    ),
    "textual-inversion-sd": Published(
        {"batch": 2, "lr": 0.01, **_ORIGINAL},
        "fp32",
        None,
        "rinongal/textual_inversion: configs/stable-diffusion/v1-finetune.yaml, ldm/data/personalized.py",
    ),
    "diffusers": Published(
        {
            "steps": 5000,
            "batch": 16,
            "lr": 1e-4,
            "weight_decay": 0.01,
            "templates": "diffusers",
            "resize": "squash",
            "flip": True,
        },
        "fp32",
        None,
        "huggingface/diffusers: the defaults of examples/textual_inversion/textual_inversion.py",
    ),
}


def published(name: str) -> Published:
    """A source by name. Raises UserError, which names all, for another."""
    if name not in PUBLISHED:
        raise UserError(f"nothing is known as `like` {name!r}; choose from {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def like(name: str, **told: Any) -> InvertSettings:
    """The settings of a source; those that are ``told`` win. Raises UserError for an unknown source or setting."""
    return fields.make(InvertSettings, {**published(name).settings, **told})


def explained(name: str) -> str:
    """What a source states, what its base gives and what stays ours, in a sentence."""
    told = published(name)

    def listed(settings: Mapping[str, Any]) -> str:
        ordered = [name for name in (*fields.fields(InvertSettings), "dtype") if name in settings]
        return ", ".join(f"{name} {'yes' if settings[name] is True else settings[name]}" for name in ordered)

    own = {**told.stated, **({"dtype": told.dtype} if told.dtype else {})}
    parts = [f"it states {listed(own)}"]
    if told.base:
        base = {**told.inherited, **({} if told.dtype else {"dtype": told.precision})}
        parts.append(f"{told.base}, on whose code it builds, gives {listed(base)}")
    return "; ".join([*parts, f"not stated, and so ours: {', '.join(told.unstated)}"])
