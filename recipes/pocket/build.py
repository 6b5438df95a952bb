"""Makes the whole pocket model, from the font to the package.

``python -m recipes.pocket.build`` runs every part in order (each continues where it was killed) and then
installs what ships into ``src/photowords/pocket``; ``--install`` only installs what is already built.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from photowords.backbones.world import NEIGHBOURS, distances, traits
from recipes.pocket import autoencoder, data, judge, words
from recipes.pocket.bank import PACKAGE

PARTS = ("bank", "data", "autoencoder", "diffusion", "judge", "clip", "captioner", "classifier")
SHIPPED = ("pipeline", "captioner", "classifier", "clip")


def install() -> None:
    """Copy what ships, and write down what the model knows."""
    missing = [name for name in SHIPPED if not (data.BUILD / name / "config.json").exists() and name != "pipeline"]
    missing += ["pipeline"] * (not (data.BUILD / "pipeline" / "model_index.json").exists())
    if missing:
        sys.exit(f"not built yet: {', '.join(missing)}; what the package holds is left as it is")
    for name in SHIPPED:
        target = PACKAGE / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(data.BUILD / name, target)
    trunk = {key: value for key, value in load_file(judge.WEIGHTS).items() if key.startswith(("conv_in.", "blocks."))}
    (PACKAGE / "features").mkdir(exist_ok=True)
    save_file(trunk, PACKAGE / "features" / "model.safetensors")
    own, farthest = familiar()
    save_file({"traits": own}, PACKAGE / "pipeline" / "world.safetensors")
    world = {
        "known_words": words.known_words(),
        "farthest": round(farthest, 4),
        "readers": {"captioner": "../captioner", "classifier": "../classifier", "clip": "../clip"},
    }
    (PACKAGE / "pipeline" / "world.json").write_text(json.dumps(world, indent=1) + "\n")
    for path in PACKAGE.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone
    total = sum(path.stat().st_size for path in PACKAGE.rglob("*.safetensors"))
    print(f"installed in {PACKAGE}: {total / 1e6:.1f} MB of weights")


@torch.no_grad()
def familiar(count: int = 1500) -> tuple[torch.Tensor, float]:
    """Traits of unseen drawings, and how far their neighbours may be: hardly a drawing's own are farther.

    The distance is that which 1 % of as many other drawings exceed.
    """
    pictures, _ = data.load(1)
    x = autoencoder.tensor(pictures[: 2 * count]).float()
    vae = AutoencoderKL.from_pretrained(PACKAGE / "pipeline" / "vae").to(x.device).float().eval()
    rebuilt = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in x.split(50)])
    own, others = traits(x.cpu(), rebuilt.cpu()).split(count)
    return own.half(), float(distances(others, own.half().float())[:, NEIGHBOURS - 1].quantile(0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="only install what is built")
    if not parser.parse_args().install:
        for part in PARTS:
            began = time.time()
            subprocess.run([sys.executable, "-m", f"recipes.pocket.{part}"], check=True)
            print(f"== {part}: {(time.time() - began) / 60:.1f} minutes", flush=True)
    install()


if __name__ == "__main__":
    main()
