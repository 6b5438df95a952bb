"""Blocks of a report are checked before the study runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from photowords.errors import UserError
from photowords.report.blocks import BLOCKS as KINDS
from photowords.report.blocks import parse
from tests.report.synthetic import ARMS, BLOCKS


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"kind": "pie"}, "the [[report]] kind 'pie' is unknown; choose from curves, table"),
        ({"kind": "table", "metrics": ["lpips"], "colour": 1}, "unknown key 'colour'; the known keys are"),
        ({"kind": "table"}, "the table block has no metrics"),
        ({"kind": "table", "metrics": "lpips"}, "metrics of the table block is 'lpips', but it must be a list"),
        ({"kind": "table", "metrics": ["beauty"]}, "the metric 'beauty', which does not exist"),
        ({"kind": "table", "metrics": ["lpips"], "step": -1}, "step of the table block is -1"),
        ({"kind": "gallery", "step": ["1"]}, "step of the gallery block is ['1'], but it must be a list of steps"),
        ({"kind": "gallery", "rows": "mood"}, "rows of the gallery block is 'mood'; choose from concept, arm"),
        (
            {"kind": "gallery", "rows": "arm"},
            "the gallery block has arm in its rows and in its columns; keep one",
        ),
        ({"kind": "reach", "reference": "moon"}, "names the arm 'moon', which the study has not; its arms are star"),
        ({"kind": "curves", "metrics": ["lpips"], "x": "years"}, "x of the curves block is 'years'; choose from steps"),
        ({"kind": ["table"]}, "the [[report]] kind ['table'] is unknown"),
        ({"kind": "reach", "reference": "star", "metric": 3}, "metric of the reach block is 3, but it must be a text"),
        ({"kind": "frontier", "x": ["lpips"], "y": "sifid"}, "x of the frontier block is ['lpips']"),
        ({"kind": "table", "metrics": ["lpips"], "title": 3}, "title of the table block is 3"),
        ({"kind": "curves", "metrics": ["lpips"], "log": "no"}, "log of the curves block is 'no', but it must be true"),
        ({"kind": "ablation", "metric": "lpips", "by": "mood"}, "by of the ablation block is 'mood'; choose from seed"),
    ],
)
def test_a_block_that_cannot_be_made_is_refused(block: Any, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        parse(block, list(ARMS))


def test_every_block_of_the_example_is_known() -> None:
    for block in BLOCKS:
        parse(block, list(ARMS))
    assert {block["kind"] for block in BLOCKS} == set(KINDS)
