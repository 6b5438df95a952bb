"""The kinds of [[report]] blocks, and the reader of their tables. Nothing here draws or writes anything yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from photowords.errors import UserError
from photowords.report.blocks.ablation import Ablation
from photowords.report.blocks.block import Block
from photowords.report.blocks.curves import Curves
from photowords.report.blocks.frontier import Frontier
from photowords.report.blocks.gallery import Gallery
from photowords.report.blocks.reach import Reach
from photowords.report.blocks.scores import Scores

__all__ = ["BLOCKS", "Block", "parse"]

BLOCKS: dict[str, type[Block]] = {block.kind: block for block in (Curves, Scores, Reach, Gallery, Frontier, Ablation)}


def parse(table: Mapping[str, Any], arms: Sequence[str]) -> Block:
    """The block of a [[report]] table. Raises UserError where it cannot be made: a key, name or value is wrong."""
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in BLOCKS:
        raise UserError(f"the [[report]] kind {kind!r} is unknown; choose from {', '.join(BLOCKS)}")
    return BLOCKS[kind].read({key: value for key, value in table.items() if key != "kind"}, arms)
