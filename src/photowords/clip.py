"""A CLIP, both halves: pictures and texts as points of one space, where nearness is likeness (Radford et al. 2021)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import images, pocket
from photowords.errors import UserError
from photowords.pretrained import Kept, config, identity, network, on, pretrained, revision

BATCH = 32
"""Pictures or texts at once: bounds the memory, and does not change a number beyond rounding."""


class Clip:
    """A transformers CLIP folder or hub name, float32, which works on ``device``; embeddings come on the CPU.

    Raises UserError when it cannot be had or is no CLIP; ``field`` is the setting that the error names.

    Attributes:
        source, revision: where it came from; the revision is None for folders.
        about: how a score's record names it.
        scale: what a cosine is multiplied by before a softmax over texts; learned with the model.
    """

    def __init__(self, source: str, device: torch.device | str = "cpu", field: str = "reranker") -> None:
        from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

        self.source, self._device = source, device
        if (found := config(source, "CLIP", field)["model_type"]) != "clip":
            raise UserError(f"{source} is a {found} model, but a CLIP is needed here; give a CLIP as `{field}`")
        self._processor: Any = pretrained(CLIPImageProcessorPil, source, "CLIP", field)
        self._tokenizer: Any = pretrained(AutoTokenizer, source, "CLIP", field)
        self._model: Any = network(CLIPModel, source, "CLIP", field)
        self.revision = revision(source)
        self.about = ("the pocket's own " if is_pockets(source) else "") + f"CLIP {identity(source, 'CLIP')}"
        self.scale = float(self._model.logit_scale.detach().exp())

    @torch.no_grad()
    def images(self, pictures: Sequence[Image]) -> Tensor:
        """Unit-length embeddings of n RGB pictures, (n, d), float32."""
        batches = []
        with on(self._device, self._model):
            for first in range(0, len(pictures), BATCH):
                inputs = self._processor(images=list(pictures[first : first + BATCH]), return_tensors="pt")
                pixels = inputs.pixel_values.to(self._device)
                batches.append(self._model.get_image_features(pixel_values=pixels).pooler_output.cpu())
        return self._unit_length(batches)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit-length embeddings of n texts, (n, d), float32; a text is cut where the context ends (77 tokens)."""
        context = self._model.config.text_config.max_position_embeddings
        batches = []
        with on(self._device, self._model):
            for first in range(0, len(texts), BATCH):
                batch = list(texts[first : first + BATCH])
                inputs = self._tokenizer(batch, padding=True, truncation=True, max_length=context, return_tensors="pt")
                ids, mask = inputs.input_ids.to(self._device), inputs.attention_mask.to(self._device)
                batches.append(self._model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output.cpu())
        return self._unit_length(batches)

    def _unit_length(self, batches: list[Tensor]) -> Tensor:
        if not batches:
            return torch.empty(0, self._model.config.projection_dim)
        return torch.nn.functional.normalize(torch.cat(batches), dim=-1)


@functools.lru_cache(maxsize=8)
def is_pockets(source: str) -> bool:
    """Whether a CLIP is the pocket's, wherever it was copied to."""
    file = Path(source) / "model.safetensors"
    return file.is_file() and images.sha256(file) == images.sha256(pocket.CLIP / "model.safetensors")


load = Kept(Clip)
"""The CLIP of a folder or hub name, kept for the next picture."""
