"""LDM text2im (Rombach et al. 2022), the model of the first textual inversion: CompVis/ldm-text2im-large-256."""

from __future__ import annotations

import inspect

import torch
from diffusers import LDMTextToImagePipeline
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from photowords.backbones.interface import Conditioning
from photowords.backbones.pipeline import TextPart
from photowords.backbones.stable_diffusion import StableDiffusion
from photowords.backbones.text import Bert
from photowords.settings import GenerateSettings


class LDMTextToImage(StableDiffusion):
    """Stable Diffusion's forerunner, which differs from it in its text encoder, a BERT, and in the parts' names."""

    pipeline = LDMTextToImagePipeline
    text_parts = {"bert": TextPart("bert", "tokenizer", Bert, context=77)}
    autoencoder = "vqvae"
    options = {}
    weight_files = ("*/*.bin",)

    @torch.no_grad()
    def _draw(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        generators: list[torch.Generator],
        settings: GenerateSettings,
    ) -> Tensor:
        """The pipeline's loop, which takes text only and not its conditioning; here with every scheduler."""
        scheduler = self._pipe.scheduler
        scheduler.set_timesteps(settings.steps, device=self.device)
        takes_generator = "generator" in inspect.signature(scheduler.step).parameters
        extra = {"generator": generators} if takes_generator else {}
        shape = (len(generators), self._network.config.in_channels, self._autoencoder_side, self._autoencoder_side)
        latents = randn_tensor(shape, generators, self.device, self.dtype) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            given = scheduler.scale_model_input(latents, t)
            prediction = self.predict(given, t, conditioning)
            if (scale := settings.guidance or 1.0) != 1:
                without = self.predict(given, t, negative)
                prediction = without + scale * (prediction - without)
            latents = scheduler.step(prediction.to(self.dtype), t, latents, **extra).prev_sample
        with self._sound_autoencoder() as dtype:
            decoded: Tensor = self._autoencoder.decode(
                latents.to(dtype) / self._autoencoder.config.scaling_factor
            ).sample
        return decoded.clamp(-1, 1)
