"""The pocket under another parametrisation is the same function of the words."""

from pathlib import Path

import pytest
import torch

from photowords import backbones
from photowords.backbones import Backbone
from recipes.pocket import scaled

PROMPTS = [["a photo of a teal and white checkered mug on the beach"], [""]]


@pytest.mark.parametrize("scale", [0.166, 4.0])
def test_scaled_word_vectors_give_the_same_conditioning(scale: float, tmp_path: Path, pocket_model: Backbone) -> None:
    scaled.save(tmp_path / "scaled", scale)
    other = backbones.load(str(tmp_path / "scaled"), "cpu", "fp32")
    ours, theirs = (model.encode_prompt(PROMPTS, {})["prompt_embeds"] for model in (pocket_model, other))
    assert torch.allclose(ours, theirs, atol=2e-4), float((ours - theirs).abs().max())
    words, words_scaled = (model.text_encoders["clip_l"].word_vectors("mug") for model in (pocket_model, other))
    assert torch.allclose(words * scale, words_scaled) and other.fingerprint != pocket_model.fingerprint
    assert other.world is not None and Path(other.readers["clip"]).is_dir()


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        scaled.save(tmp_path, 0.5)
