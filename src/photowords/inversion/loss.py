"""The loss: equation 1 on a batch of draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from photowords.backbones import Backbone, Conditioning
from photowords.backbones.memory import within_memory


@dataclass(frozen=True)
class Batch:
    """Draws of everything that equation 1 is an expectation over.

    Attributes:
        latents, noise: z and eps, (b, c, h, w).
        t: timesteps, (b,).
        weight: of each latent cell, (b, 1, h, w); a sample's mean is 1, or 1 over how much more often it is drawn.
        prompt: which prompt each sample has, (b,), on the CPU: what there is to encode is decided there.
    """

    latents: Tensor
    noise: Tensor
    t: Tensor
    weight: Tensor
    prompt: Tensor

    def pick(self, rows: Tensor) -> Batch:
        """The samples numbered ``rows`` (n,), which are on the CPU."""
        return Batch(*(tensor[rows.to(tensor.device)] for tensor in vars(self).values()))

    def first(self, size: int) -> Batch:
        """The first ``size`` samples."""
        return self.pick(torch.arange(size))

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


def denoising_gradient(
    backbone: Backbone, batch: Batch, conditioning: Conditioning, share: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses (b,), and the gradient of their sum, each times its ``share`` (b,), in each tensor of the conditioning
    that has one.

    What the memory does not hold is computed ``within_memory``. Under ``torch.distributed`` each process takes its
    part of the samples, and all have the whole answer.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)
    mine = torch.arange(rank, len(batch.t), world)
    losses = torch.zeros_like(share)
    slopes = {name: torch.zeros_like(tensor) for name, tensor in conditioning.tensors.items() if tensor.requires_grad}

    def gradient(rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        if len(rows) == len(share):
            return _gradient(backbone, batch, conditioning, share)
        return _gradient(backbone, batch.pick(rows), conditioning.pick(rows), share[rows.to(share.device)])

    for rows, (own, found) in within_memory(backbone, mine, gradient):
        if world == 1 and len(rows) == len(share):  # the usual case: nothing is carried over, so nobody waits for it
            return own, dict(zip(slopes, found, strict=True))
        for whole, part in zip([losses, *slopes.values()], [own, *found], strict=True):
            whole[rows.to(whole.device)] = part
    for tensor in [losses, *slopes.values()] if world > 1 else []:
        dist.all_reduce(tensor)
    return losses, slopes


def _gradient(backbone: Backbone, batch: Batch, told: Conditioning, share: Tensor) -> tuple[Tensor, list[Tensor]]:
    given = {name: tensor.detach().requires_grad_(tensor.requires_grad) for name, tensor in told.tensors.items()}
    leaves = [tensor for tensor in given.values() if tensor.requires_grad]
    losses = denoising_loss(backbone, batch, Conditioning(given))
    total = (losses * share).sum()
    return losses.detach(), list(torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True))
