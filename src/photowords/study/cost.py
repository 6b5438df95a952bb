"""How long a study takes: UNet passes counted beforehand, seconds a pass from what has been run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from photowords.backbones import Backbone
from photowords.study import measured
from photowords.study.grid import STRIP, Trial

BACKWARD = 2
"""Passes that a step back through the UNet takes, beside the one forward."""


def passes(trial: Trial, samples: int) -> int:
    """About how many pictures a trial sends through the UNet."""
    arm, settings = trial.arm, trial.arm.settings
    sampled = len(arm.score_at) * measured.prompts(trial.spec["metrics"], trial.protocol) * samples
    sampled += len(arm.pictures_at) * len(trial.picture_prompts) * min(samples, STRIP)
    return (
        settings.steps * settings.batch * (1 + BACKWARD)
        + len(settings.evaluate_at or ()) * settings.held_out
        + sampled * (trial.protocol.settings.steps or 0) * 2  # guidance doubles each
    )


@torch.no_grad()
def seconds_per_pass(backbone: Backbone) -> float:
    """Of one picture through the UNet on one thread, in a batch of four, timed here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        side = backbone.picture_size
        latents = backbone.encode_picture(torch.zeros(1, 3, side, side)).mean.expand(4, -1, -1, -1)
        conditioning = backbone.encode_prompt([["a photo"]], {}).repeat(4)
        t = backbone.objective.timesteps(torch.full((4,), 0.5)).to(backbone.device)
        for _ in range(2):  # the first one warms up
            began = time.perf_counter()
            backbone.predict(latents, t, conditioning).sum().item()
        return (time.perf_counter() - began) / 4
    finally:
        torch.set_num_threads(threads)


class Meter:
    """Seconds left, from the seconds that ended trials took; before the first, from one timed pass."""

    def __init__(self, todo: Sequence[Trial], samples: int, seconds_per_pass: float, workers: int) -> None:
        self._samples, self._workers = samples, max(1, min(workers, len(todo)))
        self._left = sum(passes(trial, samples) for trial in todo)
        self._seconds, self._passes = 0.0, 0
        self._guess = seconds_per_pass

    def ended(self, trial: Trial, seconds: float) -> None:
        """Count a trial that took so many seconds on its worker; 0 for one that failed, which tells no rate."""
        count = passes(trial, self._samples)
        self._left -= count
        if seconds:
            self._passes += count
            self._seconds += seconds

    @property
    def seconds_left(self) -> float:
        """Of wall clock, all workers at work."""
        rate = self._seconds / self._passes if self._passes else self._guess
        return self._left * rate / self._workers
