"""A concept, sampled under a fixed protocol and scored; and a run, its start scored beside what it learned."""

from photowords.evaluation.protocol import EDITS, Protocol, Score
from photowords.evaluation.scoring import check, default_metrics, evaluate, evaluate_run, held_out, scorers

__all__ = ["EDITS", "Protocol", "Score", "check", "default_metrics", "evaluate", "evaluate_run", "held_out", "scorers"]
