"""The loss: equation 1 on a batch of draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from photowords.backbones import Backbone, Conditioning


@dataclass(frozen=True)
class Batch:
    """Draws of everything that equation 1 is an expectation over.

    Attributes:
        latents, noise: z and eps, (b, c, h, w).
        t: timesteps, (b,).
        weight: of each latent cell, (b, 1, h, w), mean 1 in each sample.
        prompt: which prompt each sample has, (b,), on the CPU: what there is to encode is decided there.
    """

    latents: Tensor
    noise: Tensor
    t: Tensor
    weight: Tensor
    prompt: Tensor

    def split(self, size: int) -> list[Batch]:
        """The same samples in batches of at most ``size``."""
        parts = zip(*(tensor.split(size) for tensor in vars(self).values()), strict=True)
        return [Batch(*part) for part in parts]

    def first(self, size: int) -> Batch:
        """The first ``size`` samples."""
        return self.split(size)[0]

    def mirrored(self) -> Batch:
        """The same samples, each with the negative of its noise."""
        return dataclasses.replace(self, noise=-self.noise)

    @staticmethod
    def cat(batches: Sequence[Batch]) -> Batch:
        """The samples of all batches, one after the other."""
        return Batch(*(torch.cat(parts) for parts in zip(*(vars(b).values() for b in batches), strict=True)))


def denoising_loss(backbone: Backbone, batch: Batch, conditioning: Conditioning) -> Tensor:
    """Equation 1: ||eps - eps_theta(z_t, t, c(y))||^2, averaged over each sample's elements by weight, (b,).

    ``conditioning`` has a row for each sample. Lower is better; a model that always says 0 gets about 1. For models
    that predict a velocity, that of diffusion or of a flow, the velocity stands for eps.
    """
    noisy = backbone.objective.add_noise(batch.latents, batch.noise, batch.t)
    target = backbone.objective.target(batch.latents, batch.noise, batch.t)
    error = backbone.predict(noisy, batch.t, conditioning) - target
    return (batch.weight * error.square()).mean(dim=(1, 2, 3))
