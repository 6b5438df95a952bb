"""Stable Diffusion 3 and 3.5 (Esser et al. 2024), and every model saved as a StableDiffusion3Pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor
from torch.nn import functional as F

from photowords.backbones.interface import Conditioning
from photowords.backbones.objective import Flow, Objective
from photowords.backbones.pipeline import PipelineBackbone, TextPart
from photowords.backbones.text import T5, Clip
from photowords.concept import Embeddings
from photowords.prompts import Piece
from photowords.settings import GenerateSettings

T5_TOKENS = 256
"""As many as the pipeline gives T5, and as many zeros where there is none."""


class StableDiffusion3(PipelineBackbone):
    """Two frozen CLIP text encoders, a frozen T5 that a folder may lack, an AutoencoderKL and an
    SD3Transformer2DModel."""

    pipeline = StableDiffusion3Pipeline
    text_parts = {
        "clip_l": TextPart("text_encoder", "tokenizer", Clip, layers=True),
        "clip_g": TextPart("text_encoder_2", "tokenizer_2", Clip, layers=True),
        "t5xxl": TextPart("text_encoder_3", "tokenizer_3", T5, T5_TOKENS),
    }
    network = "transformer"
    options = {"image_encoder": None, "feature_extractor": None}
    schedulers = ("dpm++", "unipc")

    def _sampling(self) -> GenerateSettings:
        return GenerateSettings(steps=28, guidance=4.5)

    def _objective(self) -> Objective:
        return Flow(self._pipe.scheduler, self.device)

    def encode_prompt(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Conditioning:
        told = {name: encoder(prompts, embeddings) for name, encoder in self.text_encoders.items()}
        clips, width = (told["clip_l"], told["clip_g"]), self._network.config.joint_attention_dim
        side_by_side = torch.cat([clip.hidden_states[-2] for clip in clips], dim=-1)
        rows = F.pad(side_by_side, (0, width - side_by_side.shape[-1]))
        t5 = told["t5xxl"].last_hidden_state if "t5xxl" in told else rows.new_zeros(len(rows), T5_TOKENS, width)
        return Conditioning(
            {
                "prompt_embeds": torch.cat([rows, t5], dim=1),
                "pooled_prompt_embeds": torch.cat([clip.text_embeds for clip in clips], dim=-1),
            }
        )

    def predict(self, noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        prediction: Tensor = self._network(
            hidden_states=noisy.to(self.dtype),
            timestep=t,
            encoder_hidden_states=conditioning["prompt_embeds"],
            pooled_projections=conditioning["pooled_prompt_embeds"],
        ).sample
        return prediction.float()
