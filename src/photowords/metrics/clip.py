"""Similarity of pictures by a CLIP's image embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import pocket


class ImageEncoder:
    """The image half of a CLIP-shaped transformers folder; the pocket's own by default.

    Scores by the pocket's CLIP are the pocket's: they compare with nothing published.
    """

    def __init__(self, source: str | Path = pocket.CLIP) -> None:
        from transformers import CLIPImageProcessorPil, CLIPModel

        self._processor: Any = CLIPImageProcessorPil.from_pretrained(source)
        self._model: Any = CLIPModel.from_pretrained(source, dtype=torch.float32).eval()

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image]) -> Tensor:
        """Unit-length embeddings of RGB pictures, (n, width), float32."""
        inputs = self._processor(images=list(pictures), return_tensors="pt")
        embeddings = self._model.get_image_features(**inputs).pooler_output
        return torch.nn.functional.normalize(embeddings, dim=-1)


def all_pairs(a: Tensor, b: Tensor) -> float:
    """Mean cosine over every pair of two sets of unit-length embeddings (n, d) and (m, d).

    Range [-1, 1], higher is more alike; symmetric, and independent of order (Gal et al. 2022, reconstruction).
    """
    return float((a @ b.T).mean())
