"""Stable Diffusion 1.x and 2.x (Rombach et al. 2022), and every model saved as an ordinary StableDiffusionPipeline."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import StableDiffusionPipeline
from torch import Tensor

from photowords.backbones.interface import Conditioning
from photowords.backbones.pipeline import PipelineBackbone, TextPart
from photowords.backbones.text import Clip
from photowords.concept import Embeddings
from photowords.prompts import Piece


class StableDiffusion(PipelineBackbone):
    """One frozen CLIP text encoder, an AutoencoderKL and a UNet2DConditionModel."""

    pipeline = StableDiffusionPipeline
    text_parts = {"clip_l": TextPart("text_encoder", "tokenizer", Clip)}
    options = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}

    def encode_prompt(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Conditioning:
        (encoder,) = self.text_encoders.values()
        return Conditioning({"prompt_embeds": encoder(prompts, embeddings).last_hidden_state})

    def predict(self, noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        told = {"encoder_hidden_states": conditioning["prompt_embeds"]}
        prediction: Tensor = self._network(noisy.to(self.dtype), t, **told).sample
        return prediction.float()
