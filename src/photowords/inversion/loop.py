"""The inversion: v* = argmin_v E ||eps - eps_theta(z_t, t, c(v))||^2, over every word of the sentence."""

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
from photowords.inversion.problem import Problem
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
        gradient: norm of the training loss's gradient in each word's vectors, (words,), all text encoders together;
            0 for frozen ones, None at step 0.
        sample_steps: network passes so far: steps x batch, plus one for each held-out tuple evaluated.
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
        _restore(optimizer, leaves, resume.state)
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
        yield Step(index, value, evaluated, learned, _by_word(start, leaves), sample_steps, _state(optimizer, leaves))


def _by_word(concept: Concept, leaves: Mapping[str, Tensor]) -> Tensor:
    """Norm of the gradient in each word's vectors, all text encoders together, (words,)."""
    squares = torch.zeros(len(concept))
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            rows = leaf.grad.square().sum(1).cpu().split(concept.sizes(name))
            squares += torch.stack([own.sum() for own in rows])
    return squares.sqrt()


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
