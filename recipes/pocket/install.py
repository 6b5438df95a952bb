"""Puts what is built together as it ships: the pipeline, its readers, the scores' feature net, the bank, the world.

``python -m recipes.pocket.install`` writes into ``src/photowords/pocket``, or with ``--to FOLDER`` into a folder laid
out as that one is, of which ``--model FOLDER/pipeline`` can be tried before it takes its place.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from photowords import pocket
from photowords.backbones.world import NEIGHBOURS, distances, traits
from recipes.pocket import bank, data, judge, words
from recipes.pocket.autoencoder import tensor

SHIPPED = {
    "pipeline": "model_index.json",
    "captioner": "config.json",
    "classifier": "config.json",
    "clip": "config.json",
}
"""Folder -> the file that is there once it is built."""
FAMILIAR = 1500  # drawings that the world is known by


def install(target: Path) -> None:
    """Copy what ships into a folder, and write down what the model knows. Exits where a part is not built yet."""
    missing = [name for name, file in SHIPPED.items() if not (data.BUILD / name / file).exists()]
    missing += [] if judge.WEIGHTS.exists() else ["judge"]
    if missing:
        sys.exit(f"not built yet: {', '.join(missing)}; {target} is left as it is")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as made:  # all of it, before anything takes an old part's place
        assemble(Path(made))
        for part in sorted(Path(made).iterdir()):
            shutil.rmtree(target / part.name, ignore_errors=True)
            part.rename(target / part.name)
    total = sum(path.stat().st_size for path in target.rglob("*.safetensors"))
    print(f"installed in {target}: {total / 1e6:.1f} MB of weights")


def assemble(target: Path) -> None:
    """Put the parts into an empty folder. Raises FileNotFoundError without the font or the drawings."""
    for name in SHIPPED:
        shutil.copytree(data.BUILD / name, target / name)
    trunk = {key: value for key, value in load_file(judge.WEIGHTS).items() if key.startswith(("conv_in.", "blocks."))}
    (target / "features").mkdir(exist_ok=True)
    save_file(trunk, target / "features" / "model.safetensors")
    for name, (paper_class, _, _) in bank.BANK.items():
        bank.save(target / "bank" / name, paper_class, bank.views(name), bank.pairs(name))
    own, farthest = familiar(target / "pipeline" / "vae")
    save_file({"traits": own}, target / "pipeline" / "world.safetensors")
    world = {
        "known_words": words.known_words(),
        "farthest": round(farthest, 4),
        "readers": {"captioner": "../captioner", "classifier": "../classifier", "clip": "../clip"},
    }
    (target / "pipeline" / "world.json").write_text(json.dumps(world, indent=1) + "\n")
    for path in target.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone


@torch.no_grad()
def familiar(folder: Path) -> tuple[torch.Tensor, float]:
    """Traits of drawings, and how far their neighbours may be: the distance that 1 % of as many others exceed.

    ``folder`` is the autoencoder's.
    """
    pictures, _ = data.load(data.drawn()[:1])
    x = tensor(pictures[np.arange(2 * FAMILIAR)]).float().cpu()
    vae = AutoencoderKL.from_pretrained(folder).float().eval()
    rebuilt = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in x.split(5)])
    own, others = traits(x, rebuilt).split(FAMILIAR)
    return own.half(), float(distances(others, own.half().float())[:, NEIGHBOURS - 1].quantile(0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=pocket.HERE, help="folder to write (default: the package's own)")
    install(parser.parse_args().to)


if __name__ == "__main__":
    main()
