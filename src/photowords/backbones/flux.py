"""FLUX.1 dev and schnell (Black Forest Labs 2024), and every model saved as a FluxPipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import FluxPipeline
from torch import Tensor

from photowords.backbones.interface import Conditioning
from photowords.backbones.objective import Flow, Objective
from photowords.backbones.pipeline import PipelineBackbone, TextPart
from photowords.backbones.text import T5, Clip
from photowords.concept import Embeddings
from photowords.prompts import Piece
from photowords.settings import GenerateSettings

TRAINING_GUIDANCE = 1.0
"""The guidance that dev is told in training, as in diffusers' examples: the target is the velocity without guidance."""


class Flux(PipelineBackbone):
    """A frozen CLIP text encoder, of which the network is told the pooled output alone, a frozen T5, an AutoencoderKL
    and a FluxTransformer2DModel.

    Of dev, guidance was distilled into the network: its scale is an input. Schnell, distilled to few steps, has none.
    Classifier-free guidance, and with it a negative prompt, is apart from both: ``GenerateSettings.true_cfg_scale``.
    """

    pipeline = FluxPipeline
    text_parts = {
        "clip_l": TextPart("text_encoder", "tokenizer", Clip),
        "t5xxl": TextPart("text_encoder_2", "tokenizer_2", T5, 512),
    }
    network = "transformer"
    options = {"image_encoder": None, "feature_extractor": None}
    schedulers = ("unipc",)

    @property
    def _is_guided(self) -> bool:
        return bool(self._network.config.guidance_embeds)

    def _sampling(self) -> GenerateSettings:
        if self._is_guided:
            return GenerateSettings(steps=28, guidance=3.5, true_cfg_scale=1.0)
        return GenerateSettings(steps=4, true_cfg_scale=1.0)

    def _context(self, part: TextPart) -> int:
        # Schnell was distilled with half of dev's tokens for T5.
        return super()._context(part) if self._is_guided or part.context is None else part.context // 2

    @property
    def _autoencoder_side(self) -> int:
        # The network's configuration does not say; the autoencoder's says its pictures' side in pixels.
        side: int = self._autoencoder.config.sample_size // self._pipe.vae_scale_factor
        return side

    def _objective(self) -> Objective:
        # As in diffusers' training examples: every level alike, and not moved by the picture's size. That shift
        # (``use_dynamic_shifting``) is of the sampler's few steps.
        return Flow(self._pipe.scheduler, self.device, logit_normal=False)

    def encode_prompt(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Conditioning:
        clip, t5 = (encoder(prompts, embeddings) for encoder in self.text_encoders.values())
        return Conditioning({"prompt_embeds": t5.last_hidden_state, "pooled_prompt_embeds": clip.pooler_output})

    def predict(self, noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        count, channels, height, width = noisy.shape
        hidden, scale = conditioning["prompt_embeds"], self._pipe.vae_scale_factor
        where: dict[str, Any] = {"device": noisy.device, "dtype": self.dtype}
        packed = FluxPipeline._pack_latents(noisy.to(self.dtype), count, channels, height, width)
        prediction = self._network(
            hidden_states=packed,
            timestep=t / 1000,  # the network multiplies it again
            guidance=torch.full((count,), TRAINING_GUIDANCE, device=noisy.device) if self._is_guided else None,
            pooled_projections=conditioning["pooled_prompt_embeds"],
            encoder_hidden_states=hidden,
            txt_ids=torch.zeros(hidden.shape[1], 3, **where),
            img_ids=FluxPipeline._prepare_latent_image_ids(count, height // 2, width // 2, **where),
        ).sample
        unpacked: Tensor = FluxPipeline._unpack_latents(prediction, height * scale, width * scale, scale)
        return unpacked.float()

    def _guidance_arguments(self, settings: GenerateSettings) -> dict[str, Any]:
        return {**super()._guidance_arguments(settings), "true_cfg_scale": settings.true_cfg_scale}
