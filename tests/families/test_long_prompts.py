"""A prompt that is too long for CLIP and not for T5 beside it: CLIP reads its beginning, as in diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from photowords import backbones
from photowords.errors import PhotowordsWarning, UserError
from tests import small_models

LONG = "a photo of a blue mug on the beach " * 12


@pytest.mark.parametrize("kind", ["StableDiffusion3", "Flux"])
def test_clip_reads_the_beginning_and_t5_all(kind: str, tmp_path: Path) -> None:
    backbone = backbones.load(str(small_models.FAMILIES[kind](tmp_path / kind)), "cpu", "fp32")
    with pytest.warns(PhotowordsWarning, match=r"clip_l reads the first 75 of the prompt's \d+ tokens"):
        ours = backbone.encode_prompt([[LONG]], {})
    pipe: Any = backbone._pipe  # type: ignore[attr-defined]
    length = {"max_sequence_length": backbone.text_encoders["t5xxl"].context}
    with torch.no_grad():
        found = pipe.encode_prompt(LONG, LONG, **({"prompt_3": LONG} if kind == "StableDiffusion3" else {}), **length)
    for tensor in ours.tensors.values():
        same = [one for one in found if torch.is_tensor(one) and one.shape == tensor.shape]
        assert any(torch.allclose(one, tensor, atol=1e-5) for one in same)


def test_a_concept_that_would_be_cut_off_is_refused(tmp_path: Path) -> None:
    backbone = backbones.load(str(small_models.FAMILIES["Flux"](tmp_path / "flux")), "cpu", "fp32")
    concept = small_models.words_concept(backbone, "blue mug", "pot")
    with pytest.raises(UserError, match="of which clip_l reads the first 75, and the concept stands behind them"):
        backbone.encode_prompt([[LONG, *concept.refs]], concept.embeddings())
    with pytest.warns(PhotowordsWarning, match="clip_l reads the first 75"):
        backbone.encode_prompt([["a ", *concept.refs, f" {LONG}"]], concept.embeddings())


@pytest.mark.parametrize("kind", ["StableDiffusion", "StableDiffusionXL"])
def test_without_another_reader_it_is_refused(kind: str, tmp_path: Path) -> None:
    backbone = backbones.load(str(small_models.FAMILIES[kind](tmp_path / kind)), "cpu", "fp32")
    with pytest.raises(UserError, match="the model's text encoder reads at most"):
        backbone.encode_prompt([[LONG]], {})
