"""DINO embeddings of pictures: ViT-S/16 of DINO (Caron et al. 2021) or DINOv2 (Oquab et al. 2023)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from photowords.errors import UserError
from photowords.pretrained import Kept, config, identity, network, on

SOURCES = {"dino": "facebook/dino-vits16", "dinov2": "facebook/dinov2-base"}
FAMILIES = {"dino": "vit", "dinov2": "dinov2"}  # transformers' names
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224


class Dino:
    """A transformers ViT (DINO) or Dinov2 folder or hub name.

    Pictures are resized to 256 pixels on the shorter side (bicubic, antialiased), cropped to the middle 224 and
    normalised as ImageNet, as DINO's own evaluation does; the model works on ``device``. Raises UserError when it is
    of another family.
    """

    def __init__(self, family: str, source: str | None = None, device: torch.device | str = "cpu") -> None:
        from transformers import Dinov2Model, ViTModel

        source, what = source or SOURCES[family], f"{family} model"
        found = config(source, what, family)["model_type"]
        if found != FAMILIES[family]:
            raise UserError(
                f"{source} is a {found} model, but {family} is a {FAMILIES[family]}; give one as `{family}`"
            )
        options: dict[str, Any] = {"add_pooling_layer": False} if family == "dino" else {}
        kind = ViTModel if family == "dino" else Dinov2Model
        self._model: Any = network(kind, source, what, family, **options)
        self._device = device
        shape = self._model.config
        # DINO's positions are for one size; DINOv2's are made to be interpolated.
        self._side = shape.image_size if family == "dino" else SIDE
        named = identity(source, what)
        self.about = f"{named}, a {family} of patch {shape.patch_size} and width {shape.hidden_size}, class token"

    @torch.no_grad()
    def images(self, pictures: Sequence[Image.Image]) -> Tensor:
        """RGB pictures -> class tokens of unit length, (n, d) float32 on the CPU."""
        pixels = torch.stack([self._pixels(picture) for picture in pictures]).to(self._device)
        with on(self._device, self._model):
            tokens: Tensor = self._model(pixel_values=pixels).last_hidden_state[:, 0]
        return F.normalize(tokens, dim=-1).cpu()

    def _pixels(self, picture: Image.Image) -> Tensor:
        short = round(self._side * 256 / SIDE)
        scale = short / min(picture.size)
        width, height = (max(short, round(side * scale)) for side in picture.size)
        left, top = (width - self._side) // 2, (height - self._side) // 2
        resized = picture.resize((width, height), Image.Resampling.BICUBIC)
        cropped = resized.crop((left, top, left + self._side, top + self._side))
        x = torch.from_numpy(np.array(cropped, dtype=np.float32)).permute(2, 0, 1) / 255
        return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


load = {family: Kept(functools.partial(Dino, family)) for family in SOURCES}
"""A DINO by family: from a folder or hub name, kept for the next call."""
