"""Backbone: what the method needs to know of a frozen latent diffusion model, and nothing more."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from photowords.concept import Concept
from photowords.errors import PhotowordsWarning, UserError
from photowords.prompts import Piece
from photowords.settings import GenerateSettings


@dataclass(frozen=True)
class LatentDistribution:
    """Diagonal Gaussian of a picture's latents, scaled as the UNet expects them: (1, c, h, w) each."""

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
        fingerprint: of the text encoders' embedding tables; equal for equal tables.
        encoders: names of its text encoders, in order.
        widths: encoder -> width of a placeholder's vector.
        context: tokens that a prompt may have, begin and end included.
        picture_size: side in pixels that it was trained at.
        timesteps: length of its noise schedule.
        readers: "captioner", "classifier" and "clip" -> folder or hub name of those that suit its pictures.
        device, dtype: where and in what precision it computes.
    """

    name: str
    source: str
    revision: str | None
    fingerprint: str
    encoders: tuple[str, ...]
    widths: Mapping[str, int]
    context: int
    picture_size: int
    timesteps: int
    readers: Mapping[str, str]
    device: torch.device
    dtype: torch.dtype

    def check(self, concept: Concept) -> None:
        """Raise UserError when a concept's vectors do not fit this model; warn when its tables are others."""
        made_for = concept.provenance.get("backbone", "another model")
        widths = {encoder: concept.vectors(encoder).shape[1] for encoder in concept.encoders}
        if widths != dict(self.widths):
            have, need = ("+".join(map(str, table.values())) for table in (widths, self.widths))
            raise UserError(
                f"concept {concept.name} was made for {made_for} ({have} numbers a word), "
                f"but {self.name} needs {need}; use it with the model it was made for"
            )
        if concept.provenance.get("fingerprint", self.fingerprint) != self.fingerprint:
            warnings.warn(
                f"concept {concept.name} was made for {made_for}, whose word vectors differ from {self.name}'s; "
                "the pictures may not show it",
                PhotowordsWarning,
                stacklevel=2,
            )

    @abstractmethod
    def tokenize(self, text: str, encoder: str | None = None) -> list[str]:
        """Each token's own piece of the text, without begin and end, as an encoder splits it (None: the first)."""

    @abstractmethod
    def word_vectors(self, text: str) -> dict[str, Tensor]:
        """encoder -> the frozen vectors of the text's tokens, (tokens, width), float32."""

    @abstractmethod
    def vocabulary(self, encoder: str | None = None) -> tuple[list[str], Tensor]:
        """The whole words among an encoder's tokens (None: the first) and their vectors, (words, width), float32.

        A word is "a", or two or more of the letters a to z, that the tokenizer reads as one token: English words, and,
        where no list of known words comes with the model, names and common endings as well. In the tokens' order.
        """

    @abstractmethod
    def unknown_words(self, text: str) -> list[str]:
        """Words of the text that the model is known never to have seen; empty where that is not known."""

    @abstractmethod
    def condition(self, prompts: Sequence[Sequence[Piece]], vectors: Mapping[str, Tensor]) -> Tensor:
        """Conditioning of prompts, (prompts, context, width); differentiable in ``vectors``.

        ``vectors[encoder]`` is (rows, width); an int piece of a prompt is the row to splice in there.
        Raises UserError when a prompt is longer than the context.
        """

    @abstractmethod
    def encode(self, picture: Tensor) -> LatentDistribution:
        """Latents of a picture (1, 3, size, size) in [-1, 1]."""

    @abstractmethod
    def reconstruct(self, picture: Tensor) -> Tensor:
        """Pictures (n, 3, size, size) through the autoencoder and back, float32 in about [-1, 1]."""

    @abstractmethod
    def is_familiar(self, picture: Tensor) -> bool:
        """False when a picture (1, 3, size, size) is known to lie outside what the model was trained on."""

    @abstractmethod
    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The forward process at integer timesteps t (b,): z_t of equation 1."""

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the UNet predicts: the noise, or the velocity for v-prediction models."""

    @abstractmethod
    def predict(self, noisy: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """The UNet's prediction in float32, shaped like ``noisy`` (b, c, h, w)."""

    @abstractmethod
    def sample(
        self, conditioning: Tensor, negative: Tensor, seeds: Sequence[int], settings: GenerateSettings
    ) -> Tensor:
        """Pictures (seeds, 3, h, w) in [-1, 1], one for each seed, from one prompt's conditioning (1, n, width)."""

    @abstractmethod
    def weights_hash(self) -> str:
        """SHA-256 over every weight: equal before and after an inversion."""
