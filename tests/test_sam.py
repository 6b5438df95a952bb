"""SAM by its real formats and code path, from small random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    SamConfig,
    SamImageProcessorPil,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from photowords import segmentation
from photowords.errors import UserError
from photowords.segmentation import Clicks, Segmenter
from tests.discs import SIZE


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM of a few thousand weights, saved as the published ones are."""
    folder = tmp_path_factory.mktemp("sam")
    torch.manual_seed(0)
    vision = SamVisionConfig(
        hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=16,
        window_size=2, global_attn_indexes=[0], mlp_dim=16, num_pos_feats=8,
    )  # fmt: skip
    prompts = SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    model.save_pretrained(folder)
    processor = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    SamProcessor(processor).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam(sam_folder: Path) -> Segmenter:
    return segmentation.load(str(sam_folder))


def test_sam_encodes_once_and_answers_with_its_best_mask(
    sam: Any, sam_folder: Path, two_discs: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sam.source == str(sam_folder) and sam.revision is None
    encoded = []
    encode = sam._model.get_image_embeddings
    monkeypatch.setattr(sam._model, "get_image_embeddings", lambda pixels: encoded.append(1) or encode(pixels))
    opened = sam.open(two_discs)
    asked = [Clicks(on=((45, 60),)), Clicks(on=((45, 60),), off=((115, 60),)), Clicks(box=(20, 30, 70, 90))]
    pieces = []
    monkeypatch.setattr("photowords.segmentation.sam.clean", lambda mask, clicks: pieces.append(mask) or mask)
    for clicks in asked:
        assert opened(clicks).size == SIZE
    assert len(encoded) == 1
    # The same as the processor and the model say when they are used by the book.
    inputs = SamProcessor.from_pretrained(sam_folder)(
        two_discs, input_points=[[[45.0, 60.0], [115.0, 60.0]]], input_labels=[[1, 0]], return_tensors="pt"
    )
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    with torch.no_grad():
        said = sam._model(
            **{k: v.float() if v.is_floating_point() else v for k, v in inputs.items() if "sizes" not in k}
        )
    masks = sam._processor.post_process_masks(said.pred_masks, *sizes)[0][0]
    best = masks[said.iou_scores[0, 0].argmax()].numpy()
    assert (np.asarray(pieces[1]) > 0).tolist() == best.tolist()


def test_clicks_and_boxes_are_asked_in_the_pixels_that_sam_sees(
    sam: Any, two_discs: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees the photo of 160 x 128 at 64 x 51."""
    asked: list[dict[str, torch.Tensor]] = []
    forward = sam._model.forward
    monkeypatch.setattr(sam._model, "forward", lambda **told: asked.append(told) or forward(**told))
    monkeypatch.setattr("photowords.segmentation.sam.clean", lambda mask, clicks: mask)
    sam.open(two_discs)(Clicks(((45, 60),), ((115, 60),), (20, 30, 70, 90)))
    across, down = 64 / SIZE[0], 51 / SIZE[1]
    box, points = (asked[0][name].flatten().tolist() for name in ("input_boxes", "input_points"))
    assert box == pytest.approx([20 * across, 30 * down, 70 * across, 90 * down])
    assert points == pytest.approx([45 * across, 60 * down, 115 * across, 60 * down])


def test_sam_says_when_nothing_is_found(sam: Any, two_discs: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = sam.open(two_discs)
    monkeypatch.setattr(
        sam._processor, "post_process_masks", lambda *_: [torch.zeros(1, 1, *SIZE[::-1], dtype=torch.bool)]
    )
    with pytest.raises(UserError, match=r"no object is found.*`box`.*`mask`"):
        opened(Clicks(on=((45, 60),)))
    with pytest.raises(UserError, match="outside the picture"):
        opened(Clicks(on=((45, 600),)))


def test_a_segmenter_that_cannot_be_had_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"download facebook/sam-vit-nowhere .* give FOLDER as `segmenter`"):
        segmentation.load("facebook/sam-vit-nowhere")
    for family, said in (("sam2", "needs torchvision"), ("vit", "segments no clicks")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
        with pytest.raises(UserError, match=f"'{family}', which {said}.*; use a first-generation SAM"):
            segmentation.load(str(tmp_path))
