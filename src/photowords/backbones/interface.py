"""Backbone: what the method needs to know of a frozen latent diffusion model. Text, picture and noise; nothing more."""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from photowords.backbones.text import TextEncoder
from photowords.backbones.world import World
from photowords.concept import Concept, Embeddings
from photowords.errors import PhotowordsWarning, UserError
from photowords.prompts import Piece, words_in
from photowords.settings import GenerateSettings

if TYPE_CHECKING:
    from photowords.backbones.objective import Objective


@dataclass(frozen=True)
class Conditioning:
    """What the network is told beside the noisy latents: named tensors, one row of each for a prompt.

    Only the family that made it knows what they are; others pick and repeat rows.
    """

    tensors: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def pick(self, rows: Tensor) -> Conditioning:
        """The conditioning of the prompts numbered ``rows`` (n,), in that order; rows may repeat."""
        return Conditioning({name: tensor[rows.to(tensor.device)] for name, tensor in self.tensors.items()})

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        """The prompts of all parts, one after the other."""
        return Conditioning({name: torch.cat([part[name] for part in parts]) for name in parts[0].tensors})

    def repeat(self, times: int) -> Conditioning:
        """The same prompts, each as often."""
        return self.pick(torch.arange(len(self)).repeat_interleave(times))


@dataclass(frozen=True)
class LatentDistribution:
    """Diagonal Gaussian of a picture's latents, scaled as the network expects them: (1, c, h, w) each."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std * noise."""
        return self.mean + self.std * noise


class Backbone(ABC):
    """A frozen latent diffusion model. No parameter of it ever has a gradient.

    Attributes:
        name: its short name, hub name or folder's name; kept in every concept's provenance.
        source: what ``backbones.load`` takes to load it again: short name, hub name or absolute folder.
        revision: the hub's commit; None for folders.
        kind: the class of its pipeline, as diffusers calls it.
        fingerprint: of the text encoders' embedding tables; equal for equal tables.
        text_encoders: name -> text encoder, in order.
        objective: what its network predicts, and the noise that it learned from.
        sampling: how it is sampled where nothing else is asked; of what is None here it has none.
        schedulers: names of ``SCHEDULERS`` that it can be sampled with, beside its own.
        picture_size: side in pixels that it was trained at.
        world: what it knows, for a model of a small world; None for others.
        readers: "captioner", "classifier" and "clip" -> folder or hub name of those that suit its pictures.
        device, dtype: where and in what precision it computes.
        at_once: samples or pictures that its device's memory holds, once that was found to be too few; None before.
    """

    name: str
    source: str
    revision: str | None
    kind: str
    fingerprint: str
    text_encoders: Mapping[str, TextEncoder]
    objective: Objective
    sampling: GenerateSettings
    schedulers: Sequence[str]
    picture_size: int
    world: World | None
    readers: Mapping[str, str]
    device: torch.device
    dtype: torch.dtype
    at_once: int | None = None

    def check(self, concept: Concept) -> None:
        """Raise UserError when a concept's vectors do not fit this model; warn when its tables are others."""
        made_for = concept.provenance.get("backbone", "another model")
        have = {name: concept.vectors(name).shape[1] for name in concept.encoders}
        need = {name: encoder.width for name, encoder in self.text_encoders.items()}
        if have != need:
            told = [", ".join(f"{width} for {name}" for name, width in widths.items()) for widths in (have, need)]
            half = (
                "; or, if that is the file of one text encoder, put the other's beside it, as diffusers' script for "
                "SDXL does: learned_embeds.safetensors and learned_embeds_2.safetensors"
            )
            raise UserError(
                f"concept {concept.name} was made for {made_for} (numbers a token: {told[0]}), "
                f"but {self.name} needs {told[1]}; use it with the model it was made for"
                f"{half if have.items() < need.items() else ''}"
            )
        if concept.provenance.get("fingerprint", self.fingerprint) != self.fingerprint:
            warnings.warn(
                f"concept {concept.name} was made for {made_for}, whose word vectors differ from {self.name}'s; "
                "the pictures may not show it",
                PhotowordsWarning,
                stacklevel=2,
            )

    def settle(self, settings: GenerateSettings) -> GenerateSettings:
        """The settings that pictures are sampled with: the model's own where nothing else is asked.

        Raises UserError for what the model cannot be sampled with, and for a negative prompt that would do nothing.
        """
        for name in ("guidance", "true_cfg_scale"):
            if getattr(settings, name) is not None and getattr(self.sampling, name) is None:
                raise UserError(f"{self.name} has no `{name}`; leave it out")
        own = {key: value for key, value in vars(self.sampling).items() if getattr(settings, key) is None}
        settled = dataclasses.replace(settings, **own)
        if (settled.steps or 0) >= (trained := self.objective.steps):
            raise UserError(f"`steps` is {settled.steps}, but {self.name} was trained with {trained}; use fewer")
        if settled.scheduler not in ("default", *self.schedulers):
            raise UserError(
                f"{self.name} cannot be sampled with {settled.scheduler}; "
                f"choose from {', '.join(('default', *self.schedulers))}"
            )
        scale = "guidance" if self.sampling.true_cfg_scale is None else "true_cfg_scale"
        if settled.negative and getattr(settled, scale) <= 1:
            raise UserError(f"a negative prompt does nothing at a `{scale}` of 1 or less; ask for more, such as 4")
        return settled

    def vocabulary(self, encoder: str) -> tuple[list[str], Tensor]:
        """The whole words among a text encoder's tokens and their vectors (``TextEncoder.vocabulary``)."""
        return self.text_encoders[encoder].vocabulary(self.world.known_words if self.world else None)

    def word_size(self, encoder: str) -> float:
        """The root mean square of a typical word's coordinates in a text encoder: the median of its vocabulary's.

        The vocabulary's, so that it is the same for every start; of a small world the words that it has seen, since
        the others' vectors are still what they were drawn as.
        """
        _, vectors = self.vocabulary(encoder)
        rows = vectors if len(vectors) else self.text_encoders[encoder].table.float()
        return float(rows.square().mean(1).sqrt().median())

    def unknown_words(self, text: str) -> list[str]:
        """Words of the text that the model is known never to have seen; empty where that is not known."""
        return [word for word in words_in(text) if word not in self.world.known_words] if self.world else []

    def is_familiar(self, picture: Tensor) -> bool:
        """False when a picture (1, 3, size, size) is known to lie outside what the model was trained on."""
        if self.world is None:
            return True
        return bool(self.world.is_familiar(picture, self.reconstruct(picture)))

    @abstractmethod
    def encode_prompt(self, prompts: Sequence[Sequence[Piece]], embeddings: Embeddings) -> Conditioning:
        """Conditioning of prompts, a row each; differentiable in ``embeddings``, the vectors of the words they name.

        Raises UserError when a prompt is longer than a text encoder's context.
        """

    def encode_negative_prompt(self, prompt: Sequence[Piece], embeddings: Embeddings) -> Conditioning:
        """Conditioning of what guidance leads away from, one row. Some models have one of their own for no prompt."""
        return self.encode_prompt([prompt], embeddings)

    @abstractmethod
    def encode_picture(self, picture: Tensor) -> LatentDistribution:
        """Latents of a picture (1, 3, size, size) in [-1, 1]."""

    @abstractmethod
    def reconstruct(self, picture: Tensor) -> Tensor:
        """Pictures (n, 3, size, size) through the autoencoder and back, float32 in about [-1, 1]."""

    @abstractmethod
    def predict(self, noisy: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """The network's prediction in float32, shaped like ``noisy`` (b, c, h, w), at timesteps t (b,)."""

    @abstractmethod
    def sample(
        self, conditioning: Conditioning, negative: Conditioning, seeds: Sequence[int], settings: GenerateSettings
    ) -> Tensor:
        """Pictures (seeds, 3, h, w) in [-1, 1], one for each seed, from one prompt's conditioning or a row for each.

        ``settings`` as ``settle`` gives them.
        """

    @abstractmethod
    def spare_memory(self) -> bool:
        """From now on compute the network's activations again in the backward pass instead of keeping them, which takes
        about a third more time (Chen et al. 2016); False where that is so already."""

    @abstractmethod
    def weights_hash(self) -> str:
        """SHA-256 over every weight: equal before and after an inversion."""
