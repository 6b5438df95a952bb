"""What is sampled, and what a score records: a number without its protocol compares with nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.metrics import Metric
from photowords.settings import GenerateSettings
from photowords.templates import templates

PROMPTS = {
    "object": ("a photo of a {}", "a photo of {}", "a good photo of a {}"),
    "style": (templates("style")[0],),
}
"""The reconstruction prompts by what was learned. Those of objects are the paper's (section A.3), over which it
averages LPIPS and SIFID; the first stands for the "A photo of S*" on which alone Gal et al. (2022) measure
reconstruction, for our sentences have lost their article. For styles neither paper states any."""

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
"""Prompts that put a concept elsewhere, by what was learned; in the words of the pocket's world and of any other."""


@dataclass(frozen=True)
class Protocol:
    """What is sampled; fixed, and recorded with every number.

    Attributes:
        samples: pictures for each prompt, seeds 0 to ``samples`` - 1.
        settings: of the sampler.
        prompts: the reconstruction prompts, with ``{}`` for the concept; some metrics take the first alone.
        edits: the edit prompts, likewise.
        swap: "old word=new word", for word-swap alone.
        class_word: what clip-t's text says in the concept's place; "" leaves the place empty.
    """

    samples: int = 8
    settings: GenerateSettings = field(default_factory=GenerateSettings)
    prompts: tuple[str, ...] = PROMPTS["object"]
    edits: tuple[str, ...] = EDITS["object"]
    swap: str = ""
    class_word: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 10_000:
            raise UserError(f"`samples` is {self.samples}, but it must be 1 to 10,000 pictures a prompt")
        for what, given in (("reconstruction", self.prompts), ("edit", self.edits)):
            if not given:
                raise UserError(f"the protocol has no {what} prompt; give at least one")
            for prompt in given:
                if prompt.count("{}") != 1:
                    raise UserError(f"the {what} prompt {prompt!r} must have one {{}}, where the concept stands")
                if given.count(prompt) > 1:
                    raise UserError(f"the {what} prompt {prompt!r} is given twice, and would count twice; keep one")

    @classmethod
    def for_property(
        cls, learnable_property: str, prompts: Sequence[str] = (), edits: Sequence[str] = (), samples: int = 8
    ) -> Protocol:
        """The protocol for a learned "object" or "style"; prompts that are not given are those of its own."""
        own, changed = PROMPTS[learnable_property], EDITS[learnable_property]
        return cls(samples=samples, prompts=tuple(prompts) or own, edits=tuple(edits) or changed)

    def on(self, backbone: Backbone) -> Self:
        """The same with the sampler's settings as the model takes them; raises UserError for what it cannot do."""
        return dataclasses.replace(self, settings=backbone.settle(self.settings))

    @property
    def seeds(self) -> range:
        """Of the pictures of each prompt."""
        return range(self.samples)

    def of(self, metric: Metric) -> tuple[str, ...]:
        """The prompts that are drawn for a metric."""
        return {"all": self.prompts, "first": self.prompts[:1], "edits": self.edits, "none": ()}[metric.prompts]


@dataclass(frozen=True)
class Score:
    """One metric's number, plain JSON by ``dataclasses.asdict``.

    Attributes:
        value: the mean over pictures (over tuples for the held-out losses).
        direction: "higher" or "lower": what is better.
        samples: how many pictures or tuples.
        seeds: how many seeds the pictures are of, each drawn once for each prompt; None for tuples.
        spread: sample standard deviation over the pictures or tuples; None for one.
        standard_error: of ``value``, over seeds (prompts averaged first, for they share their seeds) or tuples; None
            for one. It says how far other seeds or tuples would move the number, not other photos, prompts or runs.
            Tuples are stratified in t, so theirs is rather too large; a difference has its own, from paired values.
        how: prompts, seeds, sampler and weights.
        parts: what more a metric tells: thirds of t.
    """

    value: float
    direction: str
    samples: int
    seeds: int | None
    spread: float | None
    standard_error: float | None
    how: str
    parts: Mapping[str, float | None] = field(default_factory=dict)
