"""How a study scores a checkpoint: metrics by the names that the model computes, and the protocol of an arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from photowords import evaluation
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.evaluation import EDITS, Protocol
from photowords.metrics import METRICS

LOSSES = ("training-loss", "held-out-loss", "held-out-gain")
"""Always measured, so never asked for."""


def resolve(name: str, backbone: Backbone) -> str:
    """A metric's name as the model's own pictures want it.

    For a model whose CLIP is the pocket's, a published metric is replaced by the pocket's of the same formula where
    there is one; elsewhere "lpips" is lpips-vgg. Other names stay as they are.
    """
    pockets = any(default.startswith("pocket-") for default in evaluation.default_metrics(backbone))
    own = "pocket-" + name.removesuffix("-vgg").removesuffix("-alex")
    if pockets and own in METRICS:
        return own
    return "lpips-vgg" if name == "lpips" else name


def metrics(names: Sequence[str], backbone: Backbone) -> list[str]:
    """The metrics of a study, each once. Raises UserError for a name that is no metric of pictures."""
    found = [resolve(name, backbone) for name in names]
    for name, asked in zip(found, names, strict=True):
        if name in LOSSES:
            raise UserError(f"{asked} is measured in every study; take it out of metrics")
        if name.endswith("word-swap"):
            raise UserError(
                f"{asked} needs a word to swap, which a study has not; use photowords evaluate --swap OLD=NEW"
            )
        if found.count(name) > 1:
            raise UserError(f"metrics has {name} twice on {backbone.name}; keep one")
    evaluation.check(found)
    return found


def protocol(kind: str, samples: int) -> Protocol:
    """What is sampled for an arm of a kind, "object" or "style"."""
    return dataclasses.replace(Protocol.of_kind(kind), samples=samples)


def prompts(names: Sequence[str], kind: str) -> int:
    """How many prompts the metrics sample: the reconstruction prompt, and all edit prompts where one is of edits."""
    edited = ("clip-editability", "pocket-clip-editability", "clip-i", "clip-t", "dino", "dinov2")
    return bool(names) + any(name in edited for name in names) * len(EDITS[kind])


def block(table: Mapping[str, Any], backbone: Backbone) -> dict[str, Any]:
    """A [[report]] block with its metrics under the names that the trials have."""
    named = dict(table)
    for key in ("metric", "x", "y"):
        if isinstance(table.get(key), str):
            named[key] = resolve(table[key], backbone)
    if isinstance(table.get("metrics"), list):
        named["metrics"] = [resolve(name, backbone) for name in table["metrics"]]
    return named
