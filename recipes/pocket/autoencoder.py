"""Trains the pocket model's autoencoder: 128 x 128 RGB to 8 x 8 x 48 latents and back.

``python -m recipes.pocket.autoencoder --minutes 30`` trains on small crops at a constant rate for half an hour
more; ``--finish 800 --batch 64`` lets the rate fall to zero on crops and whole pictures and writes ``pipeline/vae``
of the build folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from photowords import pocket
from recipes.pocket import data, eyes
from recipes.pocket.training import Plan, device, options, precision, train, warm_start
from recipes.pocket.world import SIZE, Picture

PLAN = Plan(steps=1_000_000, batch=32, lr=2e-3, weight_decay=0.0, decay_share=0.0, ema=0.998, save_every=200)
CHANNELS = 48  # of the latents
CROP = 64  # side of what it is trained on but for the end, in pixels: four times the steps in the same time
PERCEPTUAL = 0.03  # about half of the gradient
KL_WEIGHT = 3e-4  # per latent element; enough to keep the latents smooth and near unit scale


def build() -> AutoencoderKL:
    """The untrained autoencoder, 3.5M parameters."""
    return AutoencoderKL(
        sample_size=SIZE,
        latent_channels=CHANNELS,
        block_out_channels=(16, 32, 64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


def tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (n, 128, 128, 3) to (n, 3, 128, 128) in [-1, 1], in ``precision()``."""
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1).to(device(), precision())


def psnr(y: Tensor, x: Tensor) -> float:
    """Mean over pictures of the peak signal-to-noise ratio in dB, both (n, 3, h, w) in [-1, 1]."""
    mse = ((y.clamp(-1, 1) - x) ** 2).mean((1, 2, 3))
    return float((10 * torch.log10(4 / mse)).mean())


def difference(y: Tensor, x: Tensor) -> Tensor:
    """How far a reconstruction is off, both (n, 3, h, w): absolute and squared error, and that of the edges."""
    error = (y - x).float()
    # The differences of neighbouring pixels are compared as well: edges count, not only areas.
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + 0.5 * (error**2).mean() + 0.5 * edges


class Crops:
    """Draws what the autoencoder is trained on: crops that lie mostly about the objects; with ``whole``, every other
    time a quarter as many whole pictures."""

    def __init__(self, pictures: data.Pictures, specs: list[Picture], whole: bool) -> None:
        self.pictures, self.specs, self.whole = pictures, specs, whole

    def batch(self, generator: torch.Generator, count: int) -> Tensor:
        """(count, 3, CROP, CROP), or whole pictures, in [-1, 1]; none of those held out."""
        crop = not self.whole or float(torch.rand((), generator=generator)) < 0.5
        count = count if crop else max(1, count // 4)
        index = torch.randint(data.HELD_OUT, len(self.specs), (count,), generator=generator).numpy()
        chances = torch.rand(count, 4, generator=generator).tolist()
        chosen = self.pictures[index]
        if crop:
            corners = [corner(self.specs[n], chance) for n, chance in zip(index.tolist(), chances, strict=True)]
            chosen = np.stack([p[y : y + CROP, x : x + CROP] for p, (x, y) in zip(chosen, corners, strict=True)])
        return tensor(chosen)


def corner(picture: Picture, chance: list[float]) -> tuple[int, int]:
    """The upper left corner of a crop, in pixels, from four random numbers in [0, 1): mostly about an object's box."""
    x, y = chance[0], chance[1]
    if chance[2] < 0.8:  # much of a picture is sky or sand, of which there is little to learn
        left, top, right, bottom = picture.things[int(chance[3] * len(picture.things))].box()
        x, y = left + x * (right - left), top + y * (bottom - top)
    first, second = (min(max(round(centre * SIZE) - CROP // 2, 0), SIZE - CROP) for centre in (x, y))
    return first, second


def main() -> None:
    plan = options(__doc__, PLAN)
    torch.manual_seed(0)
    crops = Crops(*data.load(data.drawn()), whole=bool(plan.finish))
    seen, model = eyes.load(), build()
    if plan.warm:
        warm_start(model, AutoencoderKL.from_pretrained(Path(plan.warm) / "pipeline" / "vae").state_dict())

    def loss(generator: torch.Generator, batch: int) -> Tensor:
        x = crops.batch(generator, batch)
        posterior = model.encode(x).latent_dist
        y = model.decode(posterior.sample(generator)).sample
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        return difference(y, x) + PERCEPTUAL * eyes.unlike(seen, y, x) + KL_WEIGHT * kl

    weights, done = train("autoencoder", model, loss, plan)
    if done and plan.ends:
        model.float().load_state_dict(weights)
        save(model, data.BUILD / "pipeline" / "vae", rescale=True)


def trained(warm: str = "") -> Path:
    """The folder of the trained autoencoder in the build folder, which is at first that of the pocket in ``warm``, by
    default the package's. Exits where one is being trained there, but not to its end."""
    folder = data.BUILD / "pipeline" / "vae"
    if not folder.exists():  # several workers may come here at once, so each copies for itself and one is renamed
        if (data.BUILD / "autoencoder.ckpt").exists():
            sys.exit(f"the autoencoder in {data.BUILD} is not at its end: run recipes.pocket.autoencoder --finish 1000")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data.BUILD) as own:
            shutil.copytree(Path(warm or pocket.HERE) / "pipeline" / "vae", Path(own) / "vae")
            try:
                os.rename(Path(own) / "vae", folder)
            except OSError:
                if not folder.exists():  # else another was first
                    raise
    return folder


def encoder_of(vae: AutoencoderKL) -> str:
    """A name for the encoder, and so for latents: those of two encoders do not go together, whatever the decoder."""
    weights = b"".join(value.float().numpy().tobytes() for value in vae.encoder.state_dict().values())
    return hashlib.sha256(weights).hexdigest()[:8]


@torch.no_grad()
def save(model: AutoencoderKL, folder: Path, rescale: bool) -> None:
    """Write the autoencoder in half precision and print how good it is; ``rescale``: latents to unit variance."""
    pictures, _ = data.load(data.drawn()[:1])
    model.float().eval()
    x = tensor(pictures[np.arange(data.HELD_OUT)]).float()
    latents = torch.cat([model.encode(part).latent_dist.mean for part in x.split(50)])
    y = torch.cat([model.decode(part).sample for part in latents.split(50)]).clamp(-1, 1)
    if rescale:
        model.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
    model.half().save_pretrained(folder)
    print(f"PSNR on {len(x)} unseen drawings {psnr(y, x):.2f} dB, mean absolute error {(y - x).abs().mean():.4f}")
    print(f"latents: std {latents.std():.3f}, by channel {[round(v, 2) for v in latents.std((0, 2, 3)).tolist()]}")


if __name__ == "__main__":
    main()
