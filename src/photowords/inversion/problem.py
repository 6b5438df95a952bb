"""Problem: what one inversion minimises. The loop, the run folder and the word report share it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor

from photowords.backbones import Backbone, Conditioning
from photowords.backbones.memory import within_memory
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.inversion.draws import HELD_OUT_SEED
from photowords.inversion.loss import Batch, denoising_loss
from photowords.inversion.rule import Rule
from photowords.inversion.views import views
from photowords.prompts import in_template
from photowords.settings import InvertSettings
from photowords.templates import templates

Vectors = Mapping[str, Tensor]
"""Text encoder's name -> all vectors of a concept there, (rows, width)."""


class Rate(NamedTuple):
    """How long steps are in one text encoder.

    Attributes:
        rho: against the length of a typical word's vector there.
        size: the root mean square of such a vector's coordinates (``Backbone.word_size``); lr = rho x size.
    """

    rho: float
    size: float

    @property
    def told(self) -> dict[str, float]:
        """Both ways to state it, four digits each."""
        return {"rho": float(f"{self.rho:.4g}"), "lr": float(f"{self.rho * self.size:.4g}")}


def rates(settings: InvertSettings, backbone: Backbone) -> dict[str, Rate]:
    """The rate in each text encoder of a model."""
    sizes = {name: backbone.word_size(name) for name in backbone.text_encoders}
    rho = settings.rho
    return {name: Rate(float(settings.lr or 0) / size if rho is None else rho, size) for name, size in sizes.items()}


def told(settings: InvertSettings, backbone: Backbone) -> dict[str, Any]:
    """What a concept's provenance says of how it is learned: the settings, and the rates that they come to."""
    found = {name: rate.told for name, rate in rates(settings, backbone).items()}
    return {"settings": dataclasses.asdict(settings), "rates": found}


class Problem:
    """Photos and a sentence as equation 1 sees them.

    Raises UserError when no photo is given, the concept does not fit the backbone, nothing of it is to be learned, and
    for a mask that does not fit its photo.

    Attributes:
        rule: what decides on a step beside the loss; that of the settings, where no other is given.
        rates: text encoder's name -> its rate.
        prompts: the sentence in each template that is trained on.
        held_out_prompts: the sentence in each distinct template, whatever is trained on.
        held_out_batch: the fixed tuples of the held-out loss, on posterior-mean latents of the photos as they are. The
            noise comes from a generator of its own, so that runs on the same photos are measured on the same tuples
            and differences are paired, whatever their recipes: where photos are cut alike (``resize``, masks and the
            background's weight), and as many tuples of one ``learnable_property`` are asked for.
    """

    def __init__(
        self,
        backbone: Backbone,
        concept: Concept,
        photos: Sequence[Image],
        masks: Sequence[Image | None] = (),
        settings: InvertSettings | None = None,
        rule: Rule | None = None,
    ) -> None:
        self.settings = settings or InvertSettings()
        if not photos:
            raise UserError("no photo was given to invert; one is enough")
        backbone.check(concept)
        if not any(word.trainable for word in concept.words):
            raise UserError(f"every word of {concept.sentence!r} is frozen, so there is nothing to learn; free one")
        self.backbone, self.concept = backbone, concept
        told = self.settings
        self.rule, self.rates = rule or Rule.of(told), rates(told, backbone)
        self._start = {name: concept.vectors(name).to(backbone.device) for name in concept.encoders}
        free = {name: concept.trainable_rows(name).squeeze(1).nonzero().squeeze(1) for name in concept.encoders}
        self._free = {name: index.to(backbone.device) for name, index in free.items()}
        self.prompts, self.held_out_prompts = (
            [in_template(template, concept) for template in templates(told.learnable_property, source)]
            for source in (told.templates, "distinct")
        )
        self._views = views(backbone, photos, masks, told.background_weight, resize=told.resize)
        self.held_out_batch = self._held_out_batch()
        if told.flip:
            self._views += views(backbone, photos, masks, told.background_weight, mirrored=True, resize=told.resize)

    def trained(self, encoder: str) -> Tensor:
        """The start vectors of the words that learn, (trainable rows, width)."""
        return self._start[encoder][self._free[encoder]]

    def vectors(self, trained: Vectors) -> Vectors:
        """All words' vectors, with those that learn in their places."""
        # Not index_copy, which Apple's GPUs have since torch 2.8 only.
        return {name: self._start[name].index_put((self._free[name],), rows) for name, rows in trained.items()}

    def draw(self, index: int) -> Batch:
        """The draws of step ``index``, from a generator seeded by (seed, index) alone."""
        seed = self.settings.seed % HELD_OUT_SEED
        generator = torch.Generator().manual_seed((self.settings.seed * 1_000_003 + index) % HELD_OUT_SEED)

        def samples(size: int) -> Batch:
            view = torch.randint(len(self._views), (size,), generator=generator)
            quantile, prompt = self.rule.draws(generator, seed, index, size, len(self.prompts))
            t, share = self.rule.timesteps(self.backbone.objective, quantile)
            shape, device = (size, *self._views[0].latents.mean.shape[1:]), self.backbone.device
            posterior_noise = torch.randn(shape, generator=generator).to(device)
            noise = torch.randn(shape, generator=generator).to(device)
            drawn = [self._views[i] for i in view.tolist()]
            z = torch.cat([v.latents.sample(posterior_noise[k : k + 1]) for k, v in enumerate(drawn)])
            weight = torch.cat([v.weight for v in drawn]) * share.to(device).view(-1, 1, 1, 1)
            return Batch(z, noise, t.to(device), weight, prompt)

        return self.rule.noise(samples, self.settings.batch)

    def conditioning(self, vectors: Vectors, batch: Batch) -> Conditioning:
        """What the network is told of each sample; each distinct prompt is encoded once."""
        distinct, which = batch.prompt.unique(return_inverse=True)
        prompts = [self.prompts[i] for i in distinct.tolist()]
        return self.backbone.encode_prompt(prompts, self.concept.embeddings(vectors)).pick(which)

    @torch.no_grad()
    def held_out(self, vectors: Vectors, batch: int | None = None) -> Tensor:
        """The loss on the held-out tuples, (n,), float32 on the CPU; ``batch`` of them at once."""
        embeddings = self.concept.embeddings(vectors)

        def told(rows: Tensor) -> Conditioning:
            return self.backbone.encode_prompt([self.held_out_prompts[i] for i in rows.tolist()], embeddings)

        all_prompts = within_memory(self.backbone, torch.arange(len(self.held_out_prompts)), told)
        conditioning = Conditioning.cat([made for _, made in all_prompts])
        # Small latents are measured many at a time; large ones on the CPU as many as a training step holds, on a GPU,
        # which few keep waiting for the host, as many as take the memory of such a step, without its gradient.
        cells = 2048 if self.backbone.device.type == "cpu" else 65536
        size = batch or max(4, cells // self._views[0].weight.numel())

        def losses(rows: Tensor) -> Tensor:
            part = self.held_out_batch.pick(rows)
            return denoising_loss(self.backbone, part, conditioning.pick(part.prompt))

        samples = torch.arange(len(self.held_out_batch.t))
        return torch.cat([made for _, made in within_memory(self.backbone, samples, losses, size)]).cpu()

    def _held_out_batch(self) -> Batch:
        count, device = self.settings.held_out, self.backbone.device
        # Every view meets every template in turn; a stride that shares no factor with their number keeps the pairs
        # uncorrelated with the timestep.
        pairs = len(self._views) * len(self.held_out_prompts)
        stride = next(step for step in range(7, 7 + pairs) if math.gcd(step, pairs) == 1)
        pair = torch.arange(count) * stride % pairs
        drawn = [self._views[i] for i in (pair % len(self._views)).tolist()]
        latents = torch.cat([view.latents.mean for view in drawn])
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        noise = torch.randn(latents.shape, generator=generator).to(device)
        t = self.backbone.objective.timesteps(stratified(count)).to(device)
        prompt = pair // len(self._views)
        return Batch(latents, noise, t, torch.cat([view.weight for view in drawn]), prompt)


def stratified(count: int) -> Tensor:
    """Quantiles in the middle of ``count`` equal parts of [0, 1), rising: (i + 1/2) / count, float64."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
