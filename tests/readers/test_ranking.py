"""Candidates of a caption, ranked by CLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from photowords import clip, pocket
from photowords.backbones import Backbone
from photowords.errors import UserError
from photowords.initializers import captioner
from photowords.initializers.captioner import caption
from photowords.segmentation import cut_out
from photowords.starts import Caption


def test_candidates_are_ranked_by_likeness(
    pocket_model: Backbone, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = captioner.load(pocket_model.readers["captioner"])
    texts = ["a green elephant", "a teal and white checkered mug", "a red mug", "a yellow teddy bear"]
    calls = []

    def candidates(*arguments: Any) -> list[str]:
        calls.append(arguments)
        return texts

    monkeypatch.setattr(reader, "candidates", candidates)
    start = caption(Caption(candidates=4, seed=7), [mug], pocket_model)
    ranked = start.provenance["candidates"]
    assert calls == [(mug, 4, 7, None)]
    assert start.text == start.provenance["caption"] == "a teal and white checkered mug"
    assert [text for text, _ in ranked[:2]] == ["a teal and white checkered mug", "a red mug"]
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True) and -1 <= scores[-1] < scores[0] <= 1
    assert start.provenance["reranker"] == "clip" and start.provenance["reranker_revision"] is None
    json.dumps(start.provenance)


def test_the_reranker_can_be_chosen(pocket_model: Backbone, mug: Image.Image, clip_folder: Path) -> None:
    start = caption(Caption(candidates=3, reranker=str(clip_folder)), [mug], pocket_model)
    assert start.provenance["reranker"] == clip_folder.name and len(start.provenance["candidates"]) == 3
    with pytest.raises(UserError, match="is a blip model, but a CLIP is needed here; give a CLIP as `reranker`"):
        caption(Caption(candidates=3, reranker=str(pocket.CAPTIONER)), [mug], pocket_model)


@pytest.mark.parametrize("count", [0, -1, 51])
def test_too_few_or_many_candidates(count: int, pocket_model: Backbone, mug: Image.Image) -> None:
    with pytest.raises(UserError, match=f"`candidates` is {count}, but it must be a whole number from 1 to 50"):
        caption(Caption(candidates=count), [mug], pocket_model)


def test_the_region_is_captioned_ranked_and_remembered(
    pocket_model: Backbone, mug: Image.Image, mask: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = caption(Caption(), [mug], pocket_model)
    assert set(plain.provenance) == {"caption", "captioner", "captioner_revision"}
    region = caption(Caption(), [mug], pocket_model, mask)
    assert region.provenance["region"] is True
    assert region.text == captioner.load(pocket_model.readers["captioner"])(cut_out(mug, mask))
    judge = clip.load(pocket_model.readers["clip"])
    shown: list[Image.Image] = []
    monkeypatch.setattr(judge, "images", lambda pictures: shown.extend(pictures) or torch.ones(1, 87))
    caption(Caption(candidates=2), [mug], pocket_model, mask)
    assert len(shown) == 1 and shown[0].tobytes() == cut_out(mug, mask).tobytes()
