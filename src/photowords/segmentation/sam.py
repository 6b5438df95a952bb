"""Segment Anything (Kirillov et al. 2023) through transformers: the first generation, which needs no torchvision."""

from __future__ import annotations

from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from photowords.errors import UserError
from photowords.pretrained import config, network, on, pretrained, revision
from photowords.segmentation.interface import Clicks, Segmenter
from photowords.segmentation.masks import clean, to_image

WHAT = "segmenter"


class SegmentAnything(Segmenter):
    """A SAM model from a transformers folder or hub name, such as ``facebook/sam-vit-base``; works on ``device``."""

    def __init__(self, source: str, device: torch.device | str = "cpu") -> None:
        from transformers import SamModel, SamProcessor

        family = config(source, WHAT)["model_type"]
        if family != "sam":
            why = (
                "which needs torchvision"
                if str(family).startswith(("sam2", "sam3"))
                else "which segments no clicks here"
            )
            raise UserError(
                f"the segmenter {source!r} is of the family {family!r}, {why}; "
                "use a first-generation SAM such as facebook/sam-vit-base"
            )
        self.source, self._device = source, device
        self._processor: Any = pretrained(SamProcessor, source, WHAT).image_processor
        self._model: Any = network(SamModel, source, WHAT)
        self.revision = revision(source)

    @torch.no_grad()
    def open(self, photo: Image) -> Opened:
        """Encode the photo, which is nearly all of the work."""
        inputs = self._processor(photo, return_tensors="pt")
        with on(self._device, self._model):
            embeddings = self._model.get_image_embeddings(inputs["pixel_values"].to(self._device))
        fed = inputs["reshaped_input_sizes"][0].tolist()
        return Opened(self._model, self._processor, self._device, embeddings, photo.size, fed)


class Opened:
    """An encoded photo that answers clicks."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        device: torch.device | str,
        embeddings: Tensor,
        size: tuple[int, int],
        fed: tuple[int, int],
    ) -> None:
        self._model, self._processor, self._device, self._embeddings = model, processor, device, embeddings
        self._size = size  # width and height of the photo
        self._fed = fed  # height and width of what the encoder saw of it, without padding

    @torch.no_grad()
    def __call__(self, clicks: Clicks) -> Image:
        """Of the three masks that SAM offers (part, whole, more) the one it scores best.

        Raises UserError as ``Segmenter.open`` says.
        """
        clicks.check(self._size)
        ratio = torch.tensor([self._fed[1] / self._size[0], self._fed[0] / self._size[1]])
        prompts: dict[str, Tensor] = {}
        if points := clicks.on + clicks.off:
            labels = [1] * len(clicks.on) + [0] * len(clicks.off)
            prompts["input_points"] = (torch.tensor(points) * ratio)[None, None]  # (1, 1, points, 2)
            prompts["input_labels"] = torch.tensor(labels)[None, None]  # (1, 1, points)
        if clicks.box is not None:
            prompts["input_boxes"] = (torch.tensor(clicks.box) * ratio.repeat(2))[None, None]  # (1, 1, 4)
        prompts = {name: value.to(self._device) for name, value in prompts.items()}
        with on(self._device, self._model):
            answer = self._model(image_embeddings=self._embeddings, **prompts)
        best = int(answer.iou_scores[0, 0].argmax())
        masks = self._processor.post_process_masks(
            answer.pred_masks[:, :, best, None].float().cpu(), [self._size[::-1]], [self._fed]
        )
        return clean(to_image(masks[0][0, 0].numpy()), clicks)
