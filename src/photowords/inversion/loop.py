"""The inversion: v* = argmin_v E ||eps - eps_theta(z_t, t, c(v))||^2, over every placeholder of the sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL.Image import Image
from torch import Tensor

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.inversion.loss import HELD_OUT_SEED, HeldOut, denoising_loss
from photowords.inversion.views import views
from photowords.prompts import TEMPLATES, in_template
from photowords.settings import InvertSettings


class Diverged(UserError):
    """The loss or the vectors stopped being finite; the last Step yielded holds the last good concept."""


@dataclass(frozen=True)
class Step:
    """What ``invert`` yields, first for step 0, the start itself.

    Attributes:
        index: optimiser steps taken.
        loss: training loss of the step that led here; None at step 0.
        held_out: losses of the held-out tuples, (n,), where they were evaluated.
        concept: the concept as it stands.
        gradient: norm of the training loss's gradient in each placeholder's vectors, (placeholders,), all text
            encoders together; 0 for frozen ones, None at step 0.
        sample_steps: UNet passes so far: steps x batch, plus one for each held-out tuple evaluated.
        state: the optimiser's tensors; with ``concept``, all that continuing needs.
    """

    index: int
    loss: float | None
    held_out: Tensor | None
    concept: Concept
    gradient: Tensor | None
    sample_steps: int
    state: Mapping[str, Tensor]


def invert(
    backbone: Backbone,
    start: Concept,
    photos: Sequence[Image],
    settings: InvertSettings | None = None,
    resume: Step | None = None,
    masks: Sequence[Image | None] = (),
) -> Iterator[Step]:
    """Optimise the placeholders of ``start`` on the photos; a generator of steps.

    ``masks``, one for each photo or none (mode "L", 255 on the object), say where in a photo the loss counts.
    Step k draws its noise from a generator seeded by (seed, k) alone, so a run continued from ``resume``
    (a Step of an earlier run, ``held_out`` not needed) goes on to the same bits.
    Raises UserError when the concept does not fit the backbone or the context, when nothing of it is to be learned,
    and for a mask that does not fit its photo; Diverged on NaN.
    """
    settings = settings or InvertSettings()
    if not photos:
        raise UserError("no photo was given to invert; one is enough")
    backbone.check(start)
    if not any(placeholder.learned for placeholder in start.placeholders):
        raise UserError(f"every word of {start.sentence!r} is frozen, so there is nothing to learn; free one")
    device = backbone.device
    seen = views(backbone, photos, masks, settings.background_weight)
    prompts = [in_template(template, len(start)) for template in TEMPLATES[settings.kind]]
    held_out = HeldOut(backbone, seen, prompts, settings.held_out)
    if settings.flip:
        seen += views(backbone, photos, masks, settings.background_weight, mirrored=True)

    # The only parameters there are. Frozen placeholders are put back over them at each use.
    concept = resume.concept if resume else start
    leaves = {name: concept.vectors(name).to(device).requires_grad_() for name in start.encoders}
    original = {name: start.vectors(name).to(device) for name in start.encoders}
    learned = torch.tensor([[p.learned] for p in start.placeholders], device=device)
    optimizer = torch.optim.AdamW(leaves.values(), settings.learning_rate, weight_decay=settings.weight_decay)

    def vectors() -> dict[str, Tensor]:
        return {name: torch.where(learned, leaves[name], original[name]) for name in leaves}

    if resume:
        _restore(optimizer, leaves, resume.state)
    else:
        losses = held_out(vectors())
        if not losses.isfinite().all():
            raise Diverged(f"the loss of {start.sentence!r} is no number before any training; try --dtype fp32")
        yield Step(0, None, losses, start, None, settings.held_out, {})

    first, sample_steps = (resume.index, resume.sample_steps) if resume else (0, settings.held_out)
    for index in range(first + 1, settings.steps + 1):
        # Draw photos, templates, timesteps and noise.
        generator = torch.Generator().manual_seed((settings.seed * 1_000_003 + index) % HELD_OUT_SEED)
        view = torch.randint(len(seen), (settings.batch,), generator=generator)
        template = torch.randint(len(prompts), (settings.batch,), generator=generator)
        t = torch.randint(backbone.timesteps, (settings.batch,), generator=generator).to(device)
        shape = (settings.batch, *seen[0].latents.mean.shape[1:])
        posterior_noise = torch.randn(shape, generator=generator).to(device)
        noise = torch.randn(shape, generator=generator).to(device)
        drawn = [seen[i] for i in view.tolist()]
        z = torch.cat([v.latents.sample(posterior_noise[k : k + 1]) for k, v in enumerate(drawn)])
        weight = torch.cat([v.weight for v in drawn])

        # Encode each distinct prompt once, predict the noise, step.
        distinct, which = template.unique(return_inverse=True)
        conditioning = backbone.condition([prompts[i] for i in distinct.tolist()], vectors())
        loss = denoising_loss(backbone, z, noise, t, conditioning[which.to(device)], weight).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sample_steps += settings.batch

        # Report. A loss that is not finite ends the run before its step is yielded.
        value = loss.item()
        moved = {name: table.detach().cpu() for name, table in vectors().items()}
        evaluated, scores = None, {}
        if settings.is_evaluated(index):
            evaluated = held_out(vectors())
            sample_steps += settings.held_out
            scores = {"held_out_loss": evaluated.mean().item()}
        finite = all(bool(table.isfinite().all()) for table in moved.values())
        if not (finite and all(map(math.isfinite, (value, *scores.values())))):
            raise Diverged(
                f"the loss became {value} at step {index}; the concept of step {index - 1} is kept; try a lower --lr"
            )
        learned_so_far = start.with_vectors(moved, step=index, scores=scores)
        gradient = torch.cat([leaf.grad for leaf in leaves.values() if leaf.grad is not None], 1).norm(dim=1).cpu()
        yield Step(index, value, evaluated, learned_so_far, gradient, sample_steps, _state(optimizer, leaves))


def _state(optimizer: torch.optim.Optimizer, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = {f"{name}.leaf": leaf.detach().cpu().clone() for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        state |= {f"{name}.{key}": value.detach().cpu().clone() for key, value in optimizer.state[leaf].items()}
    return state


def _restore(optimizer: torch.optim.Optimizer, leaves: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, leaf in leaves.items():
            if f"{name}.leaf" not in state:  # a run that was stopped at step 0
                continue
            leaf.copy_(state[f"{name}.leaf"])
            keys = [key.removeprefix(f"{name}.") for key in state if key.startswith(f"{name}.")]
            optimizer.state[leaf] = {
                key: state[f"{name}.{key}"].to("cpu" if key == "step" else leaf.device).clone()
                for key in keys
                if key != "leaf"
            }
