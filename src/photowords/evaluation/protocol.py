"""What is sampled, and what a score records: a number without its protocol compares with nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from photowords.errors import UserError
from photowords.prompts import TEMPLATES
from photowords.settings import GenerateSettings

EDITS = {
    "object": (
        "a photo of a {} on the beach",
        "a photo of a {} in the snow",
        "a photo of a {} on the grass",
        "a pencil sketch of a {}",
    ),
    "style": (
        "a cat in the style of {}",
        "a boat in the style of {}",
        "a house in the style of {}",
        "a chair in the style of {}",
    ),
}
"""Prompts that put a concept elsewhere, by the kind of concept; in the words of the pocket's world and of any other."""


@dataclass(frozen=True)
class Protocol:
    """What is sampled; fixed, and recorded with every number.

    Attributes:
        samples: pictures for each prompt, seeds 0 to ``samples`` - 1.
        settings: of the sampler.
        prompt: the reconstruction prompt, with ``{}`` for the concept.
        edits: the edit prompts, likewise.
        swap: "old word=new word", for word-swap alone.
        class_word: what clip-t's text says in the concept's place; "" leaves the place empty.
    """

    samples: int = 8
    settings: GenerateSettings = field(default_factory=GenerateSettings)
    prompt: str = TEMPLATES["object"][0]
    edits: tuple[str, ...] = EDITS["object"]
    swap: str = ""
    class_word: str = ""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"samples is {self.samples}, but at least one picture a prompt is needed")
        for prompt in (self.prompt, *self.edits):
            if prompt.count("{}") != 1:
                raise UserError(f"the prompt {prompt!r} must have one {{}}, where the concept stands")
        if not self.edits:
            raise UserError("the protocol has no edit prompt; give at least one")

    @classmethod
    def of_kind(cls, kind: str) -> Protocol:
        """The defaults for concepts of a kind, "object" or "style"."""
        return cls(prompt=TEMPLATES[kind][0], edits=EDITS[kind])


@dataclass(frozen=True)
class Score:
    """One metric's number, plain JSON by ``dataclasses.asdict``.

    Attributes:
        value: the mean over pictures (over tuples for the held-out losses).
        direction: "higher" or "lower": what is better.
        samples: how many pictures or tuples.
        spread: their sample standard deviation; None for one.
        how: prompts, seeds, sampler and weights.
        parts: what more a metric tells: standard error and thirds of t.
    """

    value: float
    direction: str
    samples: int
    spread: float | None
    how: str
    parts: Mapping[str, float | None] = field(default_factory=dict)
