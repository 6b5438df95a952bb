"""Problem: what one inversion minimises. The loop, the run folder and the word report share it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.inversion.loss import Batch, denoising_loss
from photowords.inversion.views import views
from photowords.prompts import in_template
from photowords.settings import InvertSettings
from photowords.templates import templates

HELD_OUT_SEED = 2**32 - 1
"""Of a generator that training never sees: torch uses 32 bits of a seed, and training takes its seeds modulo this."""

Vectors = Mapping[str, Tensor]
"""Text encoder's name -> all vectors of a concept there, (rows, width)."""


class Problem:
    """Photos and a sentence as equation 1 sees them.

    Raises UserError when no photo is given, the concept does not fit the backbone, nothing of it is to be learned, and
    for a mask that does not fit its photo.

    Attributes:
        prompts: the sentence in each template.
        held_out_batch: the fixed tuples of the held-out loss, on posterior-mean latents of the photos as they are. The
            noise comes from a generator of its own, so that every run on the same photos is measured on the same
            tuples and differences are paired.
    """

    def __init__(
        self,
        backbone: Backbone,
        concept: Concept,
        photos: Sequence[Image],
        masks: Sequence[Image | None] = (),
        settings: InvertSettings | None = None,
    ) -> None:
        self.settings = settings or InvertSettings()
        if not photos:
            raise UserError("no photo was given to invert; one is enough")
        backbone.check(concept)
        if not any(word.trainable for word in concept.words):
            raise UserError(f"every word of {concept.sentence!r} is frozen, so there is nothing to learn; free one")
        self.backbone, self.concept = backbone, concept
        told = self.settings
        self.prompts = [
            in_template(template, concept) for template in templates(told.learnable_property, told.templates)
        ]
        self._views = views(backbone, photos, masks, told.background_weight, resize=told.resize)
        self.held_out_batch = self._held_out_batch()
        if told.flip:
            self._views += views(backbone, photos, masks, told.background_weight, mirrored=True, resize=told.resize)

    def draw(self, index: int) -> Batch:
        """The draws of step ``index``, from a generator seeded by (seed, index) alone."""
        size, device = self.settings.batch, self.backbone.device
        generator = torch.Generator().manual_seed((self.settings.seed * 1_000_003 + index) % HELD_OUT_SEED)
        view = torch.randint(len(self._views), (size,), generator=generator)
        prompt = torch.randint(len(self.prompts), (size,), generator=generator)
        t = self.backbone.objective.timesteps(torch.rand(size, generator=generator))
        shape = (size, *self._views[0].latents.mean.shape[1:])
        posterior_noise = torch.randn(shape, generator=generator).to(device)
        noise = torch.randn(shape, generator=generator).to(device)
        drawn = [self._views[i] for i in view.tolist()]
        z = torch.cat([v.latents.sample(posterior_noise[k : k + 1]) for k, v in enumerate(drawn)])
        return Batch(z, noise, t.to(device), torch.cat([v.weight for v in drawn]), prompt.to(device))

    def loss(self, vectors: Vectors, batch: Batch) -> Tensor:
        """Equation 1 for each sample of a batch, (b,); differentiable in the vectors."""
        distinct, which = batch.prompt.unique(return_inverse=True)  # each distinct prompt is encoded once
        prompts = [self.prompts[i] for i in distinct.tolist()]
        conditioning = self.backbone.encode_prompt(prompts, self.concept.embeddings(vectors))
        return denoising_loss(self.backbone, batch, conditioning.pick(which))

    @torch.no_grad()
    def held_out(self, vectors: Vectors, batch: int | None = None) -> Tensor:
        """The loss on the held-out tuples, (n,), float32 on the CPU; ``batch`` of them at once."""
        conditioning = self.backbone.encode_prompt(self.prompts, self.concept.embeddings(vectors))
        # Small latents are measured many at a time, large ones as many as a training step holds.
        size = batch or max(4, 2048 // self._views[0].weight.numel())
        parts = self.held_out_batch.split(size)
        losses = [denoising_loss(self.backbone, part, conditioning.pick(part.prompt)) for part in parts]
        return torch.cat(losses).cpu()

    def _held_out_batch(self) -> Batch:
        count, device = self.settings.held_out, self.backbone.device
        # Every view meets every template in turn; a stride that shares no factor with their number keeps the pairs
        # uncorrelated with the timestep.
        pairs = len(self._views) * len(self.prompts)
        stride = next(step for step in range(7, 7 + pairs) if math.gcd(step, pairs) == 1)
        pair = torch.arange(count) * stride % pairs
        drawn = [self._views[i] for i in (pair % len(self._views)).tolist()]
        latents = torch.cat([view.latents.mean for view in drawn])
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        noise = torch.randn(latents.shape, generator=generator).to(device)
        t = self.backbone.objective.timesteps(stratified(count)).to(device)
        prompt = (pair // len(self._views)).to(device)
        return Batch(latents, noise, t, torch.cat([view.weight for view in drawn]), prompt)


def stratified(count: int) -> Tensor:
    """Quantiles in the middle of ``count`` equal parts of [0, 1), rising: (i + 1/2) / count, float64."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
