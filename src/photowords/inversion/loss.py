"""The two losses: the one that is optimised, and the one that is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from photowords.backbones import Backbone
from photowords.inversion.views import View
from photowords.prompts import Piece

HELD_OUT_SEED = 2**32 - 1
"""Of a generator that training never sees: torch uses 32 bits of a seed, and training takes its seeds modulo this."""


def denoising_loss(
    backbone: Backbone, latents: Tensor, noise: Tensor, t: Tensor, conditioning: Tensor, weight: Tensor
) -> Tensor:
    """Equation 1: ||eps - eps_theta(z_t, t, c(y))||^2, averaged over each sample's elements by weight, (b,).

    latents, noise: (b, c, h, w); t: (b,) integers; conditioning: (b, context, width); weight: (b, 1, h, w), mean 1
    in each sample. Lower is better; a model that always says 0 gets about 1. For v-prediction models the velocity
    stands for eps.
    """
    noisy = backbone.add_noise(latents, noise, t)
    error = backbone.predict(noisy, t, conditioning) - backbone.target(latents, noise, t)
    return (weight * error.square()).mean(dim=(1, 2, 3))


def stratified(tuples: int, timesteps: int) -> Tensor:
    """The held-out tuples' timesteps, (tuples,), lowest first: t_i = floor((i + 1/2) T / n)."""
    return ((torch.arange(tuples) + 0.5) * timesteps / tuples).long()


class HeldOut:
    """The loss on fixed (t, noise, template) tuples, on posterior-mean latents.

    The timesteps are ``stratified``. The noise comes from a generator of its own,
    so that every run on the same photos is measured on the same tuples and differences are paired.
    Views and templates are cycled through; a view's weight counts here as it does in training.
    """

    def __init__(
        self,
        backbone: Backbone,
        views: Sequence[View],
        prompts: Sequence[Sequence[Piece]],
        tuples: int,
        batch: int | None = None,
    ) -> None:
        device = backbone.device
        self._backbone, self._prompts = backbone, prompts
        # Small latents are measured many at a time, large ones as many as a training step holds.
        self._batch = batch or max(4, 2048 // views[0].weight.numel())
        self.t = stratified(tuples, backbone.timesteps).to(device)
        self._latents = torch.cat([views[i % len(views)].latents.mean for i in range(tuples)])
        self._weight = torch.cat([views[i % len(views)].weight for i in range(tuples)])
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        self._noise = torch.randn(self._latents.shape, generator=generator).to(device)
        # The stride, coprime to the usual numbers of templates, keeps template and timestep uncorrelated.
        self._prompt = (torch.arange(tuples, device=device) * 7) % len(prompts)

    @torch.no_grad()
    def __call__(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Losses of the tuples, (n,), float32 on the CPU."""
        conditioning = self._backbone.condition(self._prompts, vectors)
        losses = [
            denoising_loss(
                self._backbone,
                self._latents[part],
                self._noise[part],
                self.t[part],
                conditioning[prompt],
                self._weight[part],
            )
            for part, prompt in zip(
                torch.arange(len(self.t), device=self.t.device).split(self._batch),
                self._prompt.split(self._batch),
                strict=True,
            )
        ]
        return torch.cat(losses).cpu()
