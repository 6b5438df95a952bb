"""Stable Diffusion 1.x and 2.x, and every model saved as an ordinary StableDiffusionPipeline, through diffusers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DDPMScheduler, StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPTextModel

from photowords.backbones.interface import Backbone, LatentDistribution
from photowords.backbones.splice import lay_out, spliced
from photowords.errors import UserError, reason
from photowords.prompts import Piece
from photowords.settings import SCHEDULERS, GenerateSettings

ENCODER = "text_encoder"
HUB_READERS = {
    "captioner": "Salesforce/blip-image-captioning-base",
    "classifier": "google/vit-base-patch16-224",
    "clip": "openai/clip-vit-base-patch32",
}
"""What reads photos for models of the open world."""


class StableDiffusion(Backbone):
    """One frozen CLIP text encoder, an AutoencoderKL and a UNet2DConditionModel."""

    encoders = (ENCODER,)

    def __init__(
        self,
        folder: Path,
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        source: str | None = None,
        revision: str | None = None,
    ) -> None:
        self.name, self.device, self.dtype = name, device, dtype
        self.source, self.revision = source or str(folder), revision
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        # A model of a small world says what it knows.
        world = folder / "world.json"
        try:
            self._world = json.loads(world.read_text()) if world.exists() else None
            # The word vectors are kept as they are stored; only the computation is in ``dtype``.
            encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype="auto")
            self._table = encoder.get_input_embeddings().weight.detach().clone()
            pipe = StableDiffusionPipeline.from_pretrained(
                folder,
                text_encoder=encoder.to(dtype),
                dtype=dtype,
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
            )
        except Exception as error:  # truncated weights, missing parts, strange configurations: each its own kind
            raise UserError(f"the model folder {folder} cannot be loaded: {reason(error)}") from error
        pipe.set_progress_bar_config(disable=True)
        if pipe.unet.config.sample_size >= 32:  # decode large pictures one by one: less memory
            pipe.vae.enable_slicing()
        self._pipe: Any = pipe.to(device)
        for module in (pipe.unet, pipe.vae, pipe.text_encoder):
            module.requires_grad_(False).eval()
        self.fingerprint = hashlib.sha256(self._table.half().numpy().tobytes()).hexdigest()[:16]
        self.widths = {ENCODER: self._table.shape[1]}
        self.context = pipe.text_encoder.config.max_position_embeddings
        self.picture_size = pipe.unet.config.sample_size * pipe.vae_scale_factor
        self._noise = DDPMScheduler.from_config(pipe.scheduler.config)
        self._noise.alphas_cumprod = self._noise.alphas_cumprod.to(device)
        self.timesteps = self._noise.config.num_train_timesteps
        self._schedulers = {"default": pipe.scheduler}
        self.readers = HUB_READERS
        if self._world:
            self.readers = {reader: str((folder / path).resolve()) for reader, path in self._world["readers"].items()}

    # --- text ---

    def tokenize(self, text: str, encoder: str | None = None) -> list[str]:
        self._check_encoder(encoder)
        how = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}  # it may yet be cut
        spans = self._pipe.tokenizer(text, **how).offset_mapping
        pieces, done = [], 0
        for first, last in spans:  # the bytes of one letter may be several tokens: the first of them shows it
            pieces.append(text[max(first, done) : last])
            done = max(done, last)
        return pieces

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._pipe.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def word_vectors(self, text: str) -> dict[str, Tensor]:
        return {ENCODER: self._table[self._ids(text)].float()}

    def vocabulary(self, encoder: str | None = None) -> tuple[list[str], Tensor]:
        self._check_encoder(encoder)
        whole = {
            token.removesuffix("</w>"): i
            for token, i in self._pipe.tokenizer.get_vocab().items()
            if token.endswith("</w>")
        }
        named = [word for word in sorted(whole, key=whole.__getitem__) if re.fullmatch("a|[a-z]{2,}", word)]
        if self._world:
            named = [word for word in named if word in self._world["known_words"]]
        # Of some tokens the tokenizer never makes use by itself: its merges lead past them.
        read = self._pipe.tokenizer(named, add_special_tokens=False).input_ids
        words = [word for word, ids in zip(named, read, strict=True) if ids == [whole[word]]]
        return words, self._table[[whole[word] for word in words]].float()

    def _check_encoder(self, encoder: str | None) -> None:
        if encoder not in (None, *self.encoders):
            raise KeyError(f"{self.name} has no text encoder {encoder!r}, only {', '.join(self.encoders)}")

    def unknown_words(self, text: str) -> list[str]:
        if self._world is None:
            return []
        words = dict.fromkeys(re.findall(r"\w+", text.lower()))
        return [word for word in words if word not in self._world["known_words"]]

    def condition(self, prompts: Sequence[Sequence[Piece]], vectors: Mapping[str, Tensor]) -> Tensor:
        tokenizer, encoder = self._pipe.tokenizer, self._pipe.text_encoder
        texts = {piece for prompt in prompts for piece in prompt if isinstance(piece, str)}
        ids, positions = lay_out(
            prompts,
            {text: self._ids(text) for text in texts},
            begin=tokenizer.bos_token_id,
            end=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
            context=self.context,
        )
        rows = vectors[ENCODER].to(self.device) if positions else torch.empty(0, self.widths[ENCODER])
        with spliced(encoder.get_input_embeddings(), rows, positions):
            hidden: Tensor = encoder(ids.to(self.device)).last_hidden_state
        return hidden

    # --- pictures and noise ---

    def encode(self, picture: Tensor) -> LatentDistribution:
        with torch.no_grad():
            posterior = self._pipe.vae.encode(picture.to(self.device, self.dtype)).latent_dist
        scale = self._pipe.vae.config.scaling_factor
        return LatentDistribution(posterior.mean.float() * scale, posterior.std.float() * scale)

    @torch.no_grad()
    def reconstruct(self, picture: Tensor) -> Tensor:
        vae = self._pipe.vae
        rebuilt: Tensor = vae.decode(vae.encode(picture.to(self.device, self.dtype)).latent_dist.mean).sample
        return rebuilt.float().cpu()

    def is_familiar(self, picture: Tensor) -> bool:
        if self._world is None:
            return True
        return bool((self.reconstruct(picture) - picture).abs().mean() <= self._world["familiar_error"])

    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        noisy: Tensor = self._noise.add_noise(latents, noise, t)
        return noisy

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        kind = self._noise.config.prediction_type
        if kind == "epsilon":
            return noise
        if kind == "v_prediction":
            velocity: Tensor = self._noise.get_velocity(latents, noise, t)
            return velocity
        raise UserError(f"model {self.name} predicts {kind!r}; photowords knows epsilon and v_prediction")

    def predict(self, noisy: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        prediction: Tensor = self._pipe.unet(noisy.to(self.dtype), t, encoder_hidden_states=conditioning).sample
        return prediction.float()

    def sample(
        self, conditioning: Tensor, negative: Tensor, seeds: Sequence[int], settings: GenerateSettings
    ) -> Tensor:
        self._pipe.scheduler = self._scheduler(settings.scheduler)
        batches = []
        for first in range(0, len(seeds), settings.batch):
            part = seeds[first : first + settings.batch]
            images = self._pipe(
                prompt_embeds=conditioning.expand(len(part), -1, -1),
                negative_prompt_embeds=negative.expand(len(part), -1, -1),
                # On the CPU, so that a seed gives the same noise on every device.
                generator=[torch.Generator().manual_seed(seed) for seed in part],
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                height=self.picture_size,
                width=self.picture_size,
                output_type="pt",
            ).images
            batches.append(images.float().cpu() * 2 - 1)
        return torch.cat(batches)

    def _scheduler(self, name: str) -> Any:
        if name not in self._schedulers:
            kind = getattr(diffusers, SCHEDULERS[name])
            # Only PNDM has warm-up steps to skip, and only models saved with it say so themselves.
            extra = {"skip_prk_steps": True} if name == "pndm" else {}
            self._schedulers[name] = kind.from_config(self._schedulers["default"].config, **extra)
        return self._schedulers[name]

    def weights_hash(self) -> str:
        digest = hashlib.sha256()
        for module in (self._pipe.unet, self._pipe.vae, self._pipe.text_encoder):
            for key, tensor in sorted(module.state_dict().items()):
                digest.update(key.encode())
                digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
