"""The inversion: v* = argmin_v E ||eps - eps_theta(z_t, t, c(v))||^2, over every word of the sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.inversion.problem import Problem
from photowords.inversion.step import Step, by_word, restore, state_of
from photowords.settings import InvertSettings


class Diverged(UserError):
    """The loss or the vectors stopped being finite; the last Step yielded holds the last good concept."""


def invert(
    backbone: Backbone,
    start: Concept,
    photos: Sequence[Image],
    settings: InvertSettings | None = None,
    resume: Step | None = None,
    masks: Sequence[Image | None] = (),
) -> Iterator[Step]:
    """Optimise the words of ``start`` on the photos; a generator of steps.

    ``masks``, one for each photo or none (mode "L", 255 on the object), say where in a photo the loss counts.
    Step k draws its noise from a generator seeded by (seed, k) alone, so a run continued from ``resume``
    (a Step of an earlier run, ``held_out`` not needed) goes on to the same bits.
    Raises UserError as ``Problem`` does and when the concept does not fit the context; Diverged on NaN.
    """
    problem = Problem(backbone, start, photos, masks, settings)
    settings = problem.settings

    # The only parameters there are. The vectors of frozen words are put back over them at each use.
    concept = resume.concept if resume else start
    leaves = {name: concept.vectors(name).to(backbone.device).requires_grad_() for name in start.encoders}
    original = {name: start.vectors(name).to(backbone.device) for name in start.encoders}
    trainable = {name: start.trainable_rows(name).to(backbone.device) for name in start.encoders}
    optimizer = torch.optim.AdamW(leaves.values(), settings.learning_rate, weight_decay=settings.weight_decay)

    def vectors() -> dict[str, Tensor]:
        return {name: torch.where(trainable[name], leaves[name], original[name]) for name in leaves}

    if resume:
        restore(optimizer, leaves, resume.state)
    else:
        losses = problem.held_out(vectors())
        if not losses.isfinite().all():
            raise Diverged(f"the loss of {start.sentence!r} is no number before any training; try `dtype` fp32")
        yield Step(0, None, losses, start, None, settings.held_out, {})

    first, sample_steps = (resume.index, resume.sample_steps) if resume else (0, settings.held_out)
    for index in range(first + 1, settings.steps + 1):
        loss = problem.loss(vectors(), problem.draw(index)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sample_steps += settings.batch

        # Report. A loss that is not finite ends the run before its step is yielded.
        value = loss.item()
        moved = {name: table.detach().cpu() for name, table in vectors().items()}
        evaluated, scores = None, {}
        if settings.is_evaluated(index):
            evaluated = problem.held_out(vectors())
            sample_steps += settings.held_out
            scores = {"held_out_loss": evaluated.mean().item()}
        finite = all(bool(table.isfinite().all()) for table in moved.values())
        if not (finite and all(map(math.isfinite, (value, *scores.values())))):
            raise Diverged(
                f"the loss became {value} at step {index}; the concept of step {index - 1} is kept; try a lower `lr`"
            )
        learned = start.with_vectors(moved, step=index, scores=scores)
        yield Step(index, value, evaluated, learned, by_word(start, leaves), sample_steps, state_of(optimizer, leaves))
