"""The inversion: v* = argmin_v E ||eps - eps_theta(z_t, t, c(v))||^2, over every word of the sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from photowords import threads
from photowords.backbones import Backbone, Conditioning
from photowords.concept import Concept
from photowords.errors import UserError
from photowords.inversion.loss import Batch, denoising_gradient
from photowords.inversion.problem import Problem
from photowords.inversion.rule import State, learned
from photowords.inversion.step import Step, by_word, fetched, packed, unpacked
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
    one = Inversion(Problem(backbone, start, photos, masks, settings), resume)
    if resume is None:
        yield one.begin()
    for (step,) in together([one]):
        yield step


def together(inversions: Sequence[Inversion]) -> Iterator[list[Step]]:
    """Advance inversions of one model and as many steps, each by one step at a time. Raises as ``invert``, for all."""
    while not any(one.finished for one in inversions):
        made = advance(inversions)
        for outcome in made:
            if isinstance(outcome, Exception):
                raise outcome
        yield [step for step in made if isinstance(step, Step)]


def advance(inversions: Sequence[Inversion]) -> list[Step | Exception]:
    """One step of each of some inversions of one model: their samples share a pass of the network.

    The vectors are those of each alone but for rounding. One that diverges, or fails while its step is measured, is
    answered with the reason, and leaves the others as they are.
    """
    rows = [one.rows() for one in inversions]
    batches = [one.problem.draw(one.index + 1) for one in inversions]
    with threads.for_cells(sum(batch.weight.numel() for batch in batches)):
        means, slopes = gradients_of(inversions, rows, batches)
    made: list[Step | Exception] = []
    for one, mean, own in zip(inversions, means, rows, strict=True):
        try:
            made.append(one.step(mean, [next(slopes) for _ in own]))
        except Exception as error:  # its own: the others have made their steps
            made.append(error)
    return made


def gradients_of(
    inversions: Sequence[Inversion], rows: Sequence[Mapping[str, Tensor]], batches: Sequence[Batch]
) -> tuple[Sequence[Tensor], Iterator[Tensor]]:
    """The mean loss of each inversion's batch, and its gradient in each of all rows, one after the other."""
    told = Conditioning.cat(
        [
            one.problem.conditioning(one.problem.vectors(own), batch)
            for one, own, batch in zip(inversions, rows, batches, strict=True)
        ]
    )
    sizes = [len(batch.t) for batch in batches]
    whole = Batch.cat(batches)
    share = torch.cat([whole.latents.new_full((size,), 1 / size) for size in sizes])
    losses, slopes = denoising_gradient(inversions[0].problem.backbone, whole, told, share)
    leaves = [leaf for own in rows for leaf in own.values()]
    # A sentence may have no token at all in one of the text encoders.
    found = torch.autograd.grad(
        [told[name] for name in slopes], leaves, list(slopes.values()), allow_unused=True, materialize_grads=True
    )
    return [part.mean() for part in losses.split(sizes)], iter(found)


class Inversion:
    """One inversion between its steps: the vectors that learn, and what the rule keeps of them.

    Attributes:
        problem: what it minimises.
        index: steps taken.
    """

    def __init__(self, problem: Problem, resume: Step | None = None) -> None:
        self.problem, self.index = problem, resume.index if resume else 0
        self._sample_steps = resume.sample_steps if resume else 0
        device, concept = problem.backbone.device, problem.concept
        self._states: dict[str, State] = {
            name: (unpacked(resume.state, name, device) if resume else {}) or {"rows": problem.trained(name)}
            for name in concept.encoders
        }

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.index >= self.problem.settings.steps

    def rows(self) -> dict[str, Tensor]:
        """The only parameters there are, each text encoder's, as leaves of a new graph."""
        return {name: state["rows"].detach().requires_grad_() for name, state in self._states.items()}

    def begin(self) -> Step:
        """Step 0. Raises Diverged where the loss is no number before any training."""
        losses = self._held_out()
        concept = self.problem.concept
        if not losses.isfinite().all():
            raise Diverged(f"the loss of {concept.sentence!r} is no number before any training; try `dtype` fp32")
        return Step(0, None, losses, concept, None, self._sample_steps, {})

    def step(self, loss: Tensor, gradients: Sequence[Tensor]) -> Step:
        """Make the next step, and report it. Raises Diverged instead of reporting what is not finite."""
        problem, settings = self.problem, self.problem.settings
        self.index += 1
        slopes = dict(zip(self._states, gradients, strict=True))
        self._states = {
            name: problem.rule.step(state, slopes[name], *problem.rates[name], self.index)
            for name, state in self._states.items()
        }
        self._sample_steps += settings.batch

        now = self._learned()
        value, *read = fetched(loss, *now.values(), *(slopes[name].square().sum(1) for name in now))
        moved, squares = dict(zip(now, read, strict=False)), dict(zip(now, read[len(now) :], strict=True))
        held_out = self._held_out() if settings.is_evaluated(self.index) else None
        scores = {} if held_out is None else {"held_out_loss": held_out.mean().item()}
        finite = all(bool(table.isfinite().all()) for table in moved.values())
        if not (finite and all(map(math.isfinite, (value.item(), *scores.values())))):
            raise Diverged(
                f"the loss became {value.item()} at step {self.index}; the concept of step {self.index - 1} is kept; "
                f"try a lower `lr`{' or `weight_decay`' if settings.weight_decay else ''}"
            )
        concept = problem.concept.with_vectors(moved, step=self.index, scores=scores)
        slope = by_word(problem.concept, squares)
        return Step(self.index, value.item(), held_out, concept, slope, self._sample_steps, packed(self._states))

    def _learned(self) -> Mapping[str, Tensor]:
        return self.problem.vectors({name: learned(state) for name, state in self._states.items()})

    def _held_out(self) -> Tensor:
        self._sample_steps += self.problem.settings.held_out
        return self.problem.held_out(self._learned())
