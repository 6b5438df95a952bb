"""The kinds of [[report]] blocks, and the reader of their tables. Nothing here draws or writes anything yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from photowords.errors import UserError
from photowords.metrics import METRICS
from photowords.report.blocks.ablation import Ablation
from photowords.report.blocks.block import Block
from photowords.report.blocks.curves import Curves
from photowords.report.blocks.frontier import Frontier
from photowords.report.blocks.gallery import Gallery
from photowords.report.blocks.reach import Reach
from photowords.report.blocks.scores import Scores

__all__ = ["BLOCKS", "Block", "check_measured", "parse"]

BLOCKS: dict[str, type[Block]] = {block.kind: block for block in (Curves, Scores, Reach, Gallery, Frontier, Ablation)}


def parse(table: Mapping[str, Any], arms: Sequence[str]) -> Block:
    """The block of a [[report]] table. Raises UserError where it cannot be made: a key, name or value is wrong."""
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in BLOCKS:
        raise UserError(f"the [[report]] kind {kind!r} is unknown; choose from {', '.join(BLOCKS)}")
    return BLOCKS[kind].read({key: value for key, value in table.items() if key != "kind"}, arms)


def check_measured(
    table: Mapping[str, Any], metrics: Sequence[str], evaluated: Collection[int], scored: Collection[int]
) -> None:
    """Raise UserError where a block shows a metric, or a step of one, that no trial of the study will have.

    ``metrics``: the study's, by name or formula; ``evaluated``, ``scored``: steps of losses, and of the metrics.
    """

    def formulas(name: str) -> set[str]:
        return {metric.formula for metric in METRICS.values() if name in (metric.name, metric.formula)}

    where = f"the {table['kind']} block shows"
    told = [table.get(key, []) for key in ("metrics", "metric", "x", "y")]
    names = [name for names in told for name in ([names] if isinstance(names, str) else names) if formulas(name)]
    of_runs = {metric.formula for metric in METRICS.values() if metric.measure == "run"}
    drawn = {formula for name in metrics for formula in formulas(name)}
    for name in names:
        if not formulas(name) & (of_runs | drawn):
            raise UserError(f"{where} {name}, which metrics of the study has not; add it there")
    at, steps = ("evaluate_at", evaluated) if any(formulas(name) & of_runs for name in names) else ("score_at", scored)
    shown = table.get("step", [])
    if missing := [step for step in ([shown] if isinstance(shown, int) else shown) if step not in steps]:
        raise UserError(f"{where} step {missing[0]}, which {at} of the study has not; add it there")
