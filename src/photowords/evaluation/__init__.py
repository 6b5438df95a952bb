"""A concept, sampled under a fixed protocol and scored; and a run, its start scored beside what it learned."""

from photowords.evaluation.protocol import EDITS, PROMPTS, Protocol, Score
from photowords.evaluation.scores import DEFAULTS, evaluate, evaluate_run, resolved, scorers, suite

__all__ = [
    "DEFAULTS",
    "EDITS",
    "PROMPTS",
    "Protocol",
    "Score",
    "evaluate",
    "evaluate_run",
    "resolved",
    "scorers",
    "suite",
]
