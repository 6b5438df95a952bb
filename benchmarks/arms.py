"""Ways of learning a concept that ``benchmarks.recipes`` compares: a rule each, and what else is changed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.optimizers import Heavy, Kept, Muon, Normalised, Pulled, TangentTogether, between, curriculum
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.inversion import Rule
from photowords.inversion.draws import Draws, spread
from photowords.inversion.rule import RUNNING, AdamW, Optimizer, Tangent, antithetic, as_trained
from photowords.prompts import Piece
from photowords.settings import RHO, InvertSettings

LITTLE = ("a", "an", "the", "and", "with", "of", "in", "on")


def as_it_is(backbone: Backbone, concept: Concept) -> Concept:
    """The caption's own start."""
    return concept


def frozen(backbone: Backbone, concept: Concept) -> Concept:
    """The concept with its little words kept as they are."""
    words = (dataclasses.replace(word, trainable=word.text not in LITTLE) for word in concept.words)
    return dataclasses.replace(concept, words=tuple(words))


@torch.no_grad()
def crossed(backbone: Backbone, concept: Concept) -> Concept:
    """Cross initialisation (arXiv 2312.15905): every word begins at what the text encoder makes of it in its sentence,
    at its own vector's length."""
    (name,) = concept.encoders
    begin = concept.vectors(name)
    told = backbone.encode_prompt([list(concept.refs)], concept.embeddings())["prompt_embeds"]
    read = told[0, 1 : 1 + len(begin)].float().cpu()  # after the token that begins every prompt
    return concept.with_vectors({name: read * begin.norm(dim=1, keepdim=True) / read.norm(dim=1, keepdim=True)})


def reordered(prompt: list[Piece]) -> list[list[Piece]]:
    """The prompt as it is, and with the concept's words in another order (as TokenVerse, arXiv 2501.12224)."""
    places = [i for i, piece in enumerate(prompt) if not isinstance(piece, str)]
    order = random.Random(str(prompt)).sample(places, len(places))
    other = list(prompt)
    for place, source in zip(places, order, strict=True):
        other[place] = prompt[source]
    return [prompt, other]


@dataclass(frozen=True)
class Arm:
    """One way: a rule at a rate, and what else is changed.

    Attributes:
        falling: the rate falls to 0 as a cosine.
        guidance: of the loss's prediction.
        start: (backbone, a caption's concept) -> what is learned from.
        prompts: a template with the sentence in it -> the prompts that take its place.
    """

    rule: Rule
    rho: float = 0.22
    batch: int = 4
    steps: int = 100
    falling: bool = False
    guidance: float = 1.0
    start: Callable[[Backbone, Concept], Concept] = as_it_is
    prompts: Callable[[list[Piece]], list[list[Piece]]] = lambda prompt: [prompt]


def falling(rule: Rule, rho: float, **changed: Any) -> Arm:
    return Arm(rule, rho, falling=True, **changed)


TURN = Rule(Tangent(), antithetic)
FAST = Rule.of(InvertSettings())


def averaged(optimizer: Optimizer, rho: float = 0.22, **changed: Any) -> Arm:
    return Arm(Rule(optimizer, antithetic, average=RUNNING), rho, **changed)


def even(optimizer: Optimizer, rho: float) -> Arm:
    return Arm(Rule(optimizer, antithetic, spread, average=RUNNING), rho)


def fast(draws: Draws | None = None, optimizer: Optimizer = FAST.optimizer, **changed: Any) -> Arm:
    """As ``fast``; draws in its place are of timesteps as they come, none by its importance."""
    rule = dataclasses.replace(FAST, optimizer=optimizer)
    rule = dataclasses.replace(rule, draws=draws, timesteps=as_trained) if draws else rule
    return Arm(rule, RHO["tangent"], **changed)


ARMS: dict[str, Arm] = {
    "paper": Arm(Rule(AdamW(weight_decay=0.01))),
    "fast": Arm(FAST, RHO["tangent"]),
    "fast-.2": Arm(FAST, 0.2),
    "fast-.4": Arm(FAST, 0.4),
    "fast-spread": fast(spread),
    "fast-pull-.05": fast(optimizer=Pulled(Tangent(), 0.05)),
    "fast-pull-.2": fast(optimizer=Pulled(Tangent(), 0.2)),
    "fast-pull-.8": fast(optimizer=Pulled(Tangent(), 0.8)),
    "even": even(Tangent(), 0.16),
    "even-.5-.16": even(Heavy(Tangent(), 0.5), 0.16),
    "even-.7-.12": even(Heavy(Tangent(), 0.7), 0.12),
    "even-.8-.10": even(Heavy(Tangent(), 0.8), 0.1),
    "even-muon-.7-.12": even(Kept(Muon(0.7)), 0.12),
    "fast-frozen": fast(start=frozen),
    "fast-crossed": fast(start=crossed),
    "fast-500-900": fast(between(0.5, 0.9)),
    "fast-200-900": fast(between(0.2, 0.9)),
    "fast-curriculum": fast(curriculum(50)),
    "fast-reordered": fast(prompts=reordered),
    "turn": averaged(Tangent(), 0.16),
    "turn-.10": averaged(Tangent(), 0.1),
    "turn-frozen": averaged(Tangent(), 0.16, start=frozen),
    "turn-guided": averaged(Tangent(), 0.16, guidance=3.0),
    "turn-all": averaged(TangentTogether(), 0.16),
    "turn-pull": averaged(Pulled(Tangent(), 0.2), 0.16),
    "average-adamw": averaged(AdamW()),
    "average-adamw-kept": averaged(Kept(AdamW())),
    "tangent-.08": falling(Rule(Tangent()), 0.08),
    "tangent-.16": falling(Rule(Tangent()), 0.16),
    "tangent-.16-pairs": falling(TURN, 0.16),
    "tangent-.32-pairs": falling(TURN, 0.32),
    "tangent-all-.16-pairs": falling(Rule(TangentTogether(), antithetic), 0.16),
    "adamw-cosine": falling(Rule(), 0.22),
    "adamw-pairs": Arm(Rule(AdamW(), antithetic)),
    "adamw-kept-cosine-pairs": falling(Rule(Kept(AdamW()), antithetic), 0.22),
    "muon-pairs": falling(Rule(Muon(), antithetic), 0.2),
    "muon-kept-pairs": falling(Rule(Kept(Muon()), antithetic), 0.2),
    "muon-kept-pairs-2": falling(Rule(Kept(Muon(largest=2)), antithetic), 0.2),
    "muon-pairs-guided": falling(Rule(Muon(), antithetic), 0.2, guidance=3.0),
    "normalised-pairs": falling(Rule(Normalised(), antithetic), 0.1),
}
"""Name -> what is compared. Rates are rho; weight decay is AdamW's at that rate."""
