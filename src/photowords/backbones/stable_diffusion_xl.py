"""Stable Diffusion XL (Podell et al. 2023): its base model, and every model saved as a StableDiffusionXLPipeline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from photowords.backbones.interface import Conditioning
from photowords.backbones.pipeline import PipelineBackbone, TextPart
from photowords.backbones.text import Clip
from photowords.concept import Embeddings
from photowords.prompts import Piece


class StableDiffusionXL(PipelineBackbone):
    """Two frozen CLIP text encoders, an AutoencoderKL, and a UNet2DConditionModel that is told the picture's size."""

    pipeline = StableDiffusionXLPipeline
    text_parts = {
        "clip_l": TextPart("text_encoder", "tokenizer", Clip, layers=True),
        "clip_g": TextPart("text_encoder_2", "tokenizer_2", Clip, layers=True),
    }
    # A watermark, which diffusers adds where its package is installed, would be measured as a part of the picture.
    options = {"image_encoder": None, "feature_extractor": None, "add_watermarker": False}

    def encode_prompt(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Conditioning:
        outputs = [encoder(prompts, embeddings) for encoder in self.text_encoders.values()]
        side_by_side = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return Conditioning({"prompt_embeds": side_by_side, "pooled_prompt_embeds": outputs[-1].text_embeds})

    def encode_negative_prompt(self, prompt: Sequence[Piece], embeddings: Embeddings) -> Conditioning:
        given = super().encode_negative_prompt(prompt, embeddings)
        if prompt or not self._pipe.config.force_zeros_for_empty_prompt:
            return given
        return Conditioning({name: torch.zeros_like(tensor) for name, tensor in given.tensors.items()})

    @cached_property
    def _time_ids(self) -> Tensor:
        """Original size, the crop's top and left, target size: a whole picture of the model's own size, as in sampling.
        Made once: to carry it to a GPU is to wait for all that it was told before."""
        size = self.picture_size
        return torch.tensor([[size, size, 0, 0, size, size]], device=self.device, dtype=self.dtype)

    def predict(self, noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        told = {
            "encoder_hidden_states": conditioning["prompt_embeds"],
            "added_cond_kwargs": {
                "text_embeds": conditioning["pooled_prompt_embeds"],
                "time_ids": self._time_ids.expand(len(noisy), -1),
            },
        }
        prediction: Tensor = self._network(noisy.to(self.dtype), t, **told).sample
        return prediction.float()
