"""What a study measures: its metrics on the study's model, and what is sampled for them."""

from __future__ import annotations

from collections.abc import Sequence

from photowords import evaluation
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.evaluation import Protocol
from photowords.metrics import METRICS, Metric


def metrics(names: Sequence[str], backbone: Backbone) -> list[Metric]:
    """The metrics of pictures that a study asks for. Raises UserError for a name that is none, and for one twice."""
    found = evaluation.resolved(names, backbone)
    for metric in found:
        if metric.measure == "run":
            raise UserError(f"{metric.name} is measured in every study; take it out of metrics")
        if metric.measure == "swap":
            raise UserError(
                f"{metric.name} needs a word to swap, which a study has not; photowords evaluate takes one as `swap`"
            )
    return found


def prompts(names: Sequence[str], sampled: Protocol) -> int:
    """How many different prompts are drawn for metrics of these names."""
    return len({prompt for name in names for prompt in sampled.of(METRICS[name])})
