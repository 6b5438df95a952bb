"""A family that photowords does not ship, PixArt-alpha (Chen et al. 2023): what adding one takes is this one file.

One T5, read with a mask over its padding, in lower case; a transformer whose output holds a variance as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusers import PixArtAlphaPipeline
from torch import Tensor

from photowords.backbones.interface import Conditioning
from photowords.backbones.pipeline import PipelineBackbone, TextPart
from photowords.backbones.text import T5
from photowords.concept import Embeddings
from photowords.prompts import Piece
from photowords.settings import GenerateSettings


class MaskedT5(T5):
    """T5 that does not look at its padding, and reads lower case."""

    def ids(self, text: str) -> list[int]:
        return super().ids(text.lower())

    def _run(self, ids: Tensor) -> Any:
        mask = (ids != self._tokenizer.pad_token_id).long()
        output = self._model(ids, attention_mask=mask, return_dict=True)
        output["attention_mask"] = mask
        return output


class PixArtAlpha(PipelineBackbone):
    """A frozen T5, an AutoencoderKL and a PixArtTransformer2DModel; diffusion that predicts the noise."""

    pipeline = PixArtAlphaPipeline
    text_parts = {"t5xxl": TextPart("text_encoder", "tokenizer", MaskedT5, context=120)}
    network = "transformer"

    def _sampling(self) -> GenerateSettings:
        return GenerateSettings(steps=20, guidance=4.5)

    def encode_prompt(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Conditioning:
        output = self.text_encoders["t5xxl"](prompts, embeddings)
        # Named as the pipeline's arguments are.
        return Conditioning(
            {"prompt_embeds": output.last_hidden_state, "prompt_attention_mask": output["attention_mask"]}
        )

    def predict(self, noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        prediction: Tensor = self._network(
            noisy.to(self.dtype),
            encoder_hidden_states=conditioning["prompt_embeds"],
            encoder_attention_mask=conditioning["prompt_attention_mask"],
            timestep=t,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},  # what its model of 1024 px is told besides
        ).sample
        return prediction.chunk(2, dim=1)[0].float()

    def _guidance_arguments(self, settings: GenerateSettings) -> dict[str, Any]:
        return {**super()._guidance_arguments(settings), "negative_prompt": None}  # "" unless it is told otherwise
