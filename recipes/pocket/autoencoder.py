"""Trains the pocket model's autoencoder: 64 x 64 RGB to 8 x 8 x 16 latents and back.

``python -m recipes.pocket.autoencoder`` writes ``build/pocket/pipeline/vae``.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket import data
from recipes.pocket.training import Plan, device, options, train

PLAN = Plan(steps=8_000, batch=16, lr=2e-3, weight_decay=0.0, ema=0.998)
KL_WEIGHT = 3e-4  # per latent element; enough to keep the latents smooth and near unit scale


def build() -> AutoencoderKL:
    """The untrained autoencoder."""
    return AutoencoderKL(
        sample_size=64,
        latent_channels=16,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


def tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (n, 64, 64, 3) to bf16 (n, 3, 64, 64) in [-1, 1]."""
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1).to(device(), torch.bfloat16)


def psnr(y: Tensor, x: Tensor) -> float:
    """Mean over pictures of the peak signal-to-noise ratio in dB, both (n, 3, h, w) in [-1, 1]."""
    mse = ((y.clamp(-1, 1) - x) ** 2).mean((1, 2, 3))
    return float((10 * torch.log10(4 / mse)).mean())


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    pictures, _ = data.load()
    held_out, pictures = pictures[:500], pictures[500:]
    model = build()

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        index = torch.randint(len(pictures), (batch,), generator=generator).numpy()
        x = tensor(pictures[index])
        posterior = model.encode(x).latent_dist
        y = model.decode(posterior.sample(generator)).sample
        error = (y - x).float()
        # The differences of neighbouring pixels are compared as well: edges count, not only areas.
        edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        return error.abs().mean() + 0.5 * F.mse_loss(y.float(), x.float()) + 0.5 * edges + KL_WEIGHT * kl

    weights = train("autoencoder", model, loss, plan)
    model.float().load_state_dict(weights)
    model.eval()
    with torch.no_grad():
        x = tensor(held_out).float()
        latents = torch.cat([model.encode(part).latent_dist.mean for part in x.split(50)])
        y = torch.cat([model.decode(part).sample for part in latents.split(50)]).clamp(-1, 1)
    model.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
    model.save_pretrained(data.BUILD / "pipeline" / "vae")
    print(f"PSNR on 500 unseen drawings {psnr(y, x):.2f} dB, mean absolute error {(y - x).abs().mean():.4f} on [-1, 1]")
    print(f"latents: std {latents.std():.3f}, by channel {[round(v, 2) for v in latents.std((0, 2, 3)).tolist()]}")


if __name__ == "__main__":
    main()
