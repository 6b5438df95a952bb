"""PipelineBackbone: what every family has in common that diffusers saves as a pipeline folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import diffusers
import torch
import transformers
from accelerate.utils.modeling import get_state_dict_offloaded_model
from torch import Tensor

from photowords.backbones.interface import Backbone, Conditioning, LatentDistribution
from photowords.backbones.memory import within_memory
from photowords.backbones.objective import Denoising, Objective
from photowords.backbones.placement import place
from photowords.backbones.source import Source, variant
from photowords.backbones.text import TextEncoder
from photowords.backbones.text.loading import load_encoder
from photowords.backbones.world import World
from photowords.errors import UserError, reason
from photowords.settings import SCHEDULERS, GenerateSettings

HUB_READERS = {
    "captioner": "Salesforce/blip-image-captioning-base",
    "classifier": "google/vit-base-patch16-224",
    "clip": "openai/clip-vit-base-patch32",
}
"""What reads photos for models of the open world."""


@dataclass(frozen=True)
class TextPart:
    """A text encoder's place in the pipeline.

    Attributes:
        model, tokenizer: names of the pipeline's parts.
        kind: what reads them.
        context: tokens that the pipeline gives it; None is as many as it has positions.
        layers: whether the pipeline takes the states of another layer than the last.
    """

    model: str
    tokenizer: str
    kind: type[TextEncoder]
    context: int | None = None
    layers: bool = False


class PipelineBackbone(Backbone):
    """A frozen diffusers pipeline. A family says which parts it has, and how they are put together.

    Attributes:
        pipeline: diffusers' class.
        text_parts: text encoder's name -> its parts; one that the folder leaves empty is left out.
        network, autoencoder: names of the pipeline's parts that predict and that make latents.
        options: further arguments of ``from_pretrained``, such as parts that are not loaded.
        schedulers: names of ``SCHEDULERS`` that solve the family's equation.
        weight_files: patterns of the files that hold the weights on the hub.
    """

    pipeline: ClassVar[Any]
    text_parts: ClassVar[Mapping[str, TextPart]]
    network: ClassVar[str] = "unet"
    autoencoder: ClassVar[str] = "vae"
    options: ClassVar[Mapping[str, Any]] = {}
    schedulers: Sequence[str] = tuple(SCHEDULERS)
    weight_files: ClassVar[tuple[str, ...]] = ("*/*.safetensors",)

    def __init__(self, source: Source, device: torch.device, dtype: torch.dtype, offload: str = "none") -> None:
        """``offload``: see ``placement.place``."""
        self.name, self.source, self.revision = source.name, source.again, source.revision
        self.kind = self.pipeline.__name__
        self.device, self.dtype = device, dtype
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        try:
            self.world = World.beside(source.folder)
            encoders, tables = self._load_text_encoders(source.folder)
            named = (variant(source.folder / part) for part in (self.network, self.autoencoder))
            # A part without files of that variant has its plain ones taken, one without safetensors its pickled ones,
            # from which no code is run.
            form = {"variant": next(filter(None, named), None)}
            pipe = self.pipeline.from_pretrained(source.folder, dtype=dtype, **form, **encoders, **self.options)
        except Exception as error:  # truncated weights, missing parts, strange configurations: each its own kind
            raise UserError(f"the model folder {source.folder} cannot be loaded: {reason(error)}") from error
        pipe.set_progress_bar_config(disable=True)
        self._pipe: Any = pipe
        self._network, self._autoencoder = (getattr(pipe, part) for part in (self.network, self.autoencoder))
        for module in self._modules():
            module.requires_grad_(False).eval()
        moved = place(pipe, device, offload)
        if self._autoencoder_side >= 32:  # decode large pictures one by one: less memory
            self._autoencoder.enable_slicing()
        self.text_encoders = {
            name: part.kind(name, model, getattr(pipe, part.tokenizer), tables[name], self._context(part), device)
            for name, part in self.text_parts.items()
            if (model := getattr(pipe, part.model)) is not None
        }
        for name, encoder in self.text_encoders.items():
            encoder.recomputes, encoder.layers = moved != "none", self.text_parts[name].layers
            encoder.cuts = encoder.context < max(other.context for other in self.text_encoders.values())  # CLIP by T5
        if moved == "sequential":  # autograd would keep every layer's weights on the device, once they had come
            self.spare_memory()
        digest = hashlib.sha256()
        for table in tables.values():
            digest.update(table.half().numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:16]
        self.picture_size = self._autoencoder_side * pipe.vae_scale_factor
        self.sampling, self.objective = self._sampling(), self._objective()
        self._schedulers = {"default": pipe.scheduler}
        self.readers = self.world.readers if self.world else HUB_READERS

    def spare_memory(self) -> bool:
        if self._network.is_gradient_checkpointing:
            return False
        self._network.enable_gradient_checkpointing()
        return True

    def _load_text_encoders(self, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The pipeline's text encoders, and their word vectors as they are stored."""
        models: dict[str, Any] = {}
        tables = {}
        for name, part in self.text_parts.items():
            if (found := load_encoder(folder, part.model, self.dtype)) is None:  # diffusers wants to be told
                models |= {part.model: None, part.tokenizer: None}
            else:
                models[part.model], tables[name] = found
        return models, tables

    def _context(self, part: TextPart) -> int:
        positions: int = part.context or getattr(self._pipe, part.model).config.max_position_embeddings
        return positions

    def _modules(self) -> list[Any]:
        """Every module with weights, the network first."""
        encoders = [getattr(self._pipe, part.model) for part in self.text_parts.values()]
        return [self._network, self._autoencoder, *(encoder for encoder in encoders if encoder is not None)]

    @property
    def _autoencoder_side(self) -> int:
        """Side of the latents that the network was trained on."""
        side: int = self._network.config.sample_size
        return side

    def _sampling(self) -> GenerateSettings:
        return GenerateSettings(steps=25, guidance=5.0)

    def _objective(self) -> Objective:
        return Denoising(self._pipe.scheduler, self.device)

    # --- pictures ---

    def _scaled(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents as the network expects them."""
        shift: float = getattr(self._autoencoder.config, "shift_factor", None) or 0.0
        scaled: Tensor = (latents - shift) * self._autoencoder.config.scaling_factor
        return scaled

    def encode_picture(self, picture: Tensor) -> LatentDistribution:
        with torch.no_grad(), self._sound_autoencoder() as dtype:
            posterior = self._autoencoder.encode(picture.to(self.device, dtype)).latent_dist
        mean, std = posterior.mean.float(), posterior.std.float()
        return LatentDistribution(self._scaled(mean), std * self._autoencoder.config.scaling_factor)

    @torch.no_grad()
    def reconstruct(self, picture: Tensor) -> Tensor:
        with self._sound_autoencoder() as dtype:
            latents = self._autoencoder.encode(picture.to(self.device, dtype)).latent_dist.mean
            rebuilt: Tensor = self._autoencoder.decode(latents).sample
        return rebuilt.float().cpu()

    @contextmanager
    def _sound_autoencoder(self) -> Iterator[torch.dtype]:
        """The autoencoder in a precision that does not overflow: of some the configuration says that fp16 would."""
        overflows = self.dtype == torch.float16 and self._autoencoder.config.get("force_upcast", False)
        if overflows:
            self._autoencoder.to(torch.float32)
        try:
            yield torch.float32 if overflows else self.dtype
        finally:
            if overflows:
                self._autoencoder.to(self.dtype)
            self._pipe.maybe_free_model_hooks()  # an offloaded one has done its work

    # --- sampling ---

    @torch.no_grad()
    def sample(
        self, conditioning: Conditioning, negative: Conditioning, seeds: Sequence[int], settings: GenerateSettings
    ) -> Tensor:
        self._pipe.scheduler = self._scheduler(settings.scheduler)

        def draw(rows: Tensor) -> Tensor:
            # On the CPU, so that a seed gives the same noise on every device.
            generators = [torch.Generator().manual_seed(seeds[row]) for row in rows.tolist()]
            prompt, without = (given.pick(rows % len(given)) for given in (conditioning, negative))
            return self._draw(prompt, without, generators, settings).float().cpu()

        return torch.cat([made for _, made in within_memory(self, torch.arange(len(seeds)), draw, settings.batch)])

    def _draw(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        generators: list[torch.Generator],
        settings: GenerateSettings,
    ) -> Tensor:
        """Pictures (n, 3, h, w) in [-1, 1] by the pipeline itself, a row of the conditioning and a generator each.

        The conditioning's tensors have the names of the pipeline's arguments.
        """
        images: Tensor = self._pipe(
            **conditioning.tensors,
            **{f"negative_{name}": tensor for name, tensor in negative.tensors.items()},
            **self._guidance_arguments(settings),
            generator=generators,
            num_inference_steps=settings.steps,
            height=self.picture_size,
            width=self.picture_size,
            output_type="pt",
        ).images
        return images * 2 - 1

    def _guidance_arguments(self, settings: GenerateSettings) -> dict[str, Any]:
        return {"guidance_scale": settings.guidance}

    def _scheduler(self, name: str) -> Any:
        if name not in self._schedulers:
            kind = getattr(diffusers, SCHEDULERS[name])
            # Only these two know, and only models saved with them say: PNDM skips its warm-up steps, and DDIM neither
            # clips latents, which are no pictures, nor ends at a noise that was not learnt.
            latent = {"pndm": {"skip_prk_steps": True}, "ddim": {"clip_sample": False, "set_alpha_to_one": False}}
            own = self._schedulers["default"].config
            self._schedulers[name] = kind.from_config({**latent.get(name, {}), **own}, **self.objective.solver)
        return self._schedulers[name]

    def weights_hash(self) -> str:
        digest = hashlib.sha256()
        for module in self._modules():
            for key, tensor in sorted(get_state_dict_offloaded_model(module).items()):
                digest.update(key.encode())
                digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
