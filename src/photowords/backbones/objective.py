"""What a family's network learned to predict: the noisy latents, the target, and how timesteps are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from photowords.errors import UserError


class Objective(ABC):
    """The forward process and the regression of equation 1.

    Attributes:
        steps: length of the noise schedule; a timestep lies in [0, steps].
        prediction_type: what the network predicts, as diffusers' schedulers call it.
        solver: what a scheduler must be told beside the model's own configuration, to sample from it.
    """

    steps: int
    prediction_type: str
    solver: Mapping[str, Any] = {}

    @abstractmethod
    def timesteps(self, quantiles: Tensor) -> Tensor:
        """Timesteps at quantiles (n,) in [0, 1) of the distribution that training draws them from, rising: (n,).

        Every draw weighs the same, so a model's weighting of timesteps is this distribution's density.
        """

    def important(self, quantiles: Tensor) -> tuple[Tensor, Tensor]:
        """Timesteps drawn more often where the words' gradient is known to be long, and what each draw weighs so that
        the expectation of a weighted loss stays equation 1's: quantiles (n,) in [0, 1) -> (n,), (n,) float32.

        A gradient's variance is least where draws go in proportion to its length (Owen 2013, section 9.1). Where that
        length is not known, these are ``timesteps``, and every draw weighs 1.
        """
        return self.timesteps(quantiles), torch.ones(len(quantiles))

    @abstractmethod
    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """z_t of equation 1; latents and noise (b, c, h, w), t (b,)."""

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network predicts, (b, c, h, w)."""


class Denoising(Objective):
    """Diffusion with integer timesteps, drawn uniformly (Ho et al. 2020): the noise, or the velocity (Salimans and Ho
    2022). Raises UserError for a scheduler of another prediction type, or of another noise schedule (EDM)."""

    def __init__(self, scheduler: Any, device: torch.device) -> None:
        if not hasattr(scheduler, "alphas_cumprod"):
            raise UserError(f"the model is saved with {type(scheduler).__name__}, whose noise photowords does not know")
        self._schedule = DDPMScheduler.from_config(scheduler.config)
        share = self._schedule.alphas_cumprod.double().sqrt()  # on the CPU: Apple's GPUs have no double precision
        self._schedule.alphas_cumprod = self._schedule.alphas_cumprod.to(device)
        self.steps = self._schedule.config.num_train_timesteps
        self.prediction_type = self._schedule.config.prediction_type
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise UserError(f"the model predicts {self.prediction_type!r}; photowords knows epsilon and v_prediction")
        # The gradient of a noise's prediction goes as the picture's share of z_t (docs/lab-log.md). Half of the draws
        # are uniform all the same (Hesterberg 1995), so that none weighs more than 2 on a model where it does not.
        self._density = (1 + share / share.mean()) / 2
        self._below = self._density.cumsum(0) / self.steps

    def timesteps(self, quantiles: Tensor) -> Tensor:
        return (quantiles * self.steps).long()

    def important(self, quantiles: Tensor) -> tuple[Tensor, Tensor]:
        if self.prediction_type != "epsilon":
            return super().important(quantiles)
        t = torch.searchsorted(self._below, quantiles.double(), right=True).clamp(max=self.steps - 1)
        return t, (1 / self._density[t]).float()

    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        noisy: Tensor = self._schedule.add_noise(latents, noise, t)
        return noisy

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        if self.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self._schedule.get_velocity(latents, noise, t)
        return velocity


class Flow(Objective):
    """Rectified flow (Lipman et al. 2023; Esser et al. 2024): z_t = (1 - s) z + s e, target e - z, the noise level
    s = t / steps.

    Levels are the scheduler's own, with its constant shift; their places are drawn logit-normally, as in section 3.1
    of Esser et al., or uniformly. Raises UserError for a scheduler of another kind.
    """

    prediction_type = "flow_prediction"

    def __init__(self, scheduler: Any, device: torch.device, logit_normal: bool = True) -> None:
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            raise UserError(f"the model is saved with {type(scheduler).__name__}, whose noise photowords does not know")
        fresh = FlowMatchEulerDiscreteScheduler.from_config(scheduler.config)
        self.steps = fresh.config.num_train_timesteps
        shift = fresh.config.shift
        self.solver = {"prediction_type": self.prediction_type, "use_flow_sigmas": True, "flow_shift": shift}
        self._rising = fresh.timesteps.flip(0).to(device)
        self._logit_normal = logit_normal

    def timesteps(self, quantiles: Tensor) -> Tensor:
        place = quantiles.double()
        if self._logit_normal:
            place = torch.special.ndtri(place).sigmoid()
        index = (place * self.steps).long().clamp(0, self.steps - 1)
        drawn: Tensor = self._rising[index.to(self._rising.device)]
        return drawn

    def add_noise(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        level = (t / self.steps).view(-1, 1, 1, 1)
        return (1 - level) * latents + level * noise

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - latents
