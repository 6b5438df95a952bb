"""Trains the autoencoder's decoder on, alone, so that edges are sharp: a perceptual and a small adversarial term.

``python -m recipes.pocket.sharpen --minutes 30`` and in the end ``--finish 500`` continue the decoder
in ``pipeline/vae`` of the build folder. The encoder stays as it is, so
latents and a diffusion model trained on them stay good: this part may run before, beside or after the diffusion's.

The latents get a little noise, as much as a diffusion model errs.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from photowords import files
from recipes.pocket import data, eyes
from recipes.pocket.autoencoder import Crops, difference, encoder_of, save, trained
from recipes.pocket.training import Plan, noise, options, train, workers

PLAN = Plan(steps=1_000_000, batch=32, lr=1e-3, weight_decay=0.0, decay_share=0.0, ema=0.998, save_every=200)
PERCEPTUAL, ADVERSARIAL = 0.05, 0.02  # weights beside the plain difference
KEPT = 0.5  # of what is learnt: half-way back the edges are nearly as sharp, and pixels a decibel nearer
NOISE = 0.15  # of the latents, at most, in units of their standard deviation


class Critic(nn.Module):
    """Says of each patch of 38 pixels whether it is drawn (above 0) or decoded (below)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 24, 4, 2, 1)
        self.middle = nn.ModuleList([nn.Conv2d(24, 48, 4, 2, 1), nn.Conv2d(48, 96, 4, 2, 1)])
        self.norms = nn.ModuleList([nn.GroupNorm(8, 48), nn.GroupNorm(8, 96)])
        self.head = nn.Conv2d(96, 1, 3, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_in(pictures), 0.2)
        for layer, norm in zip(self.middle, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), 0.2)
        result: Tensor = self.head(x)
        return result


class Sharpener(nn.Module):
    """The autoencoder, of which only the decoder learns, and the critic that it learns from."""

    def __init__(self, autoencoder: AutoencoderKL) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.critic = Critic()
        for part in (autoencoder.encoder, autoencoder.quant_conv):
            part.requires_grad_(False)


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    folder = trained(plan.warm)
    autoencoder = AutoencoderKL.from_pretrained(unsharpened(folder))
    before = {key: value.detach().float().clone() for key, value in autoencoder.named_parameters()}
    spread = 1 / autoencoder.config.scaling_factor
    crops = Crops(*data.load(data.drawn()), whole=bool(plan.finish or plan.within))
    seen = eyes.load()
    model = Sharpener(autoencoder)

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        x = crops.batch(generator, batch)
        with torch.no_grad():
            latents = autoencoder.encode(x).latent_dist.mean
            amount = NOISE * spread * torch.rand(len(x), 1, 1, 1, generator=generator)
        y = autoencoder.decode(latents + amount.to(latents) * noise(latents, generator).to(latents)).sample
        fixed = {key: value.detach() for key, value in model.critic.named_parameters()}
        deceived = -functional_call(model.critic, fixed, (y,)).float().mean()
        drawn, decoded = model.critic(x).float(), model.critic(y.detach()).float()
        critic = F.relu(1 - drawn).mean() + F.relu(1 + decoded).mean()
        return difference(y, x) + PERCEPTUAL * eyes.unlike(seen, y, x) + ADVERSARIAL * deceived + critic

    weights, done = train("sharpen", model, loss, plan)
    model.float().load_state_dict(weights, strict=False)
    if done and plan.ends:
        half_way_back(model.autoencoder, before)
        save(model.autoencoder, folder, rescale=False)  # a diffusion model knows its scale


def unsharpened(folder: Path) -> Path:
    """A copy of the autoencoder as it was when sharpening began, so that a run which ends twice keeps ``KEPT`` once.

    Exits where the autoencoder has another encoder now: the checkpoint's decoder is of another origin then.
    """
    kept = data.BUILD / "unsharpened"
    begun = [path for path in (data.BUILD / "sharpen.ckpt", data.BUILD / "sharpen-finish.ckpt") if path.exists()]
    rank, count = workers()
    if begun and not kept.exists():
        sys.exit(f"what sharpening began with is not known any more: remove {' and '.join(map(str, begun))}")
    if rank == 0 and not begun:
        with files.atomic_folder(kept, replace=True) as own:
            shutil.copytree(folder, own, dirs_exist_ok=True)
    if count > 1:
        dist.barrier()
    before, now = (encoder_of(AutoencoderKL.from_pretrained(path)) for path in (kept, folder))
    if before != now:
        sys.exit(f"{folder} was trained on since sharpening began: remove {' and '.join(map(str, begun))}")
    return kept


@torch.no_grad()
def half_way_back(autoencoder: AutoencoderKL, before: dict[str, Tensor]) -> None:
    """Between two nets of one origin (Wang et al. 2018, ESRGAN, section 3.4): what both have alike stays."""
    for key, value in autoencoder.named_parameters():
        value.copy_(torch.lerp(before[key], value.cpu(), KEPT))


if __name__ == "__main__":
    main()
