"""A rehearsal at full size: can this machine learn words in SD 1.5, SDXL, SD 3.5 medium and FLUX, and how fast?

``python -m benchmarks.families`` makes models of the published shapes with random weights, saves them as ordinary
folders, loads them as any user's, and takes ``--steps`` steps of an inversion of a three-word sentence at the model's
own picture size. It prints parameters, memory, and seconds by part. What does not fit into the free memory is made
with fewer layers, and the table says so. No number here says anything about pictures: the weights are noise. Tokenizers
are small ones, so a prompt's tokens differ from the real models'; its padded length, and so the cost, does not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from benchmarks.shapes import MODELS
from photowords import backbones
from photowords.backbones.pipeline import PipelineBackbone
from photowords.initializers import start
from photowords.inversion import invert
from photowords.inversion.problem import Problem
from photowords.settings import InvertSettings
from photowords.starts import Words

SHARE = 0.75
"""Of the free memory that weights and activations may fill."""


class Clock:
    """Seconds by part, and the highest memory of this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[part] = round(time.perf_counter() - began, 2)


def rehearse(name: str, steps: int, batch: int, folder: Path) -> dict[str, Any]:
    """Make, save, load and learn; what it took, as plain JSON values."""
    make, whole = MODELS[name]
    free = torch.cuda.mem_get_info()[0] / 1e9 if torch.cuda.is_available() else _free_memory()
    fraction = min(1.0, SHARE * free / whole)
    clock = Clock()
    with clock("make and save"):
        make(fraction).save_pretrained(folder)
    with clock("load"):
        backbone = backbones.load(str(folder), "auto", "bf16")
    assert isinstance(backbone, PipelineBackbone)
    side = backbone.picture_size
    photo = Image.effect_noise((side, side), 60).convert("RGB")
    concept = start(Words(words="red tea kettle"), [], backbone)
    settings = InvertSettings(steps=steps, batch=batch, held_out=1, evaluate_every=steps)
    with clock("encode the photo"):
        problem = Problem(backbone, concept, [photo], (), settings)
    drawn = problem.draw(1)
    vectors = {encoder: concept.vectors(encoder) for encoder in concept.encoders}
    with torch.no_grad(), clock("encode a prompt"):
        told = backbone.encode_prompt(problem.prompts[:1], concept.embeddings(vectors)).repeat(batch)
    with torch.no_grad(), clock("predict"):
        backbone.predict(drawn.latents, drawn.t, told)
    ends, losses = [time.perf_counter()], []
    for step in invert(backbone, concept, [photo], settings):
        ends.append(time.perf_counter())
        losses.append(step.loss)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _peak_memory()
    return {
        "model": name,
        "layers": "all" if fraction == 1 else f"{fraction:.0%} of them, for want of memory",
        "picture": side,
        "batch": batch,
        "device": str(backbone.device),
        "threads": torch.get_num_threads(),
        "parameters": {
            part: sum(p.numel() for p in module.parameters())
            for part, module in backbone._pipe.components.items()
            if isinstance(module, nn.Module)
        },
        "seconds": clock.seconds,
        "seconds a step": [round(end - begin, 2) for begin, end in itertools.pairwise(ends[1:-1])],
        "losses": losses[1:],
        "peak GB": round(peak / 1e9, 1),
    }


def _free_memory() -> float:
    """GB that a new program may take on this machine."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024 / 1e9
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["sd15", "sdxl"], help="(default: sd15 sdxl)")
    parser.add_argument("--steps", type=int, default=3, help="of the inversion (default: 3)")
    parser.add_argument("--batch", type=int, default=1, help="samples a step (default: 1)")
    parser.add_argument("--scratch", type=Path, help="where the models' folders are made for the time being")
    args = parser.parse_args()
    for name in args.models:
        with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
            print(json.dumps(rehearse(name, args.steps, args.batch, Path(scratch) / name), indent=1), flush=True)


if __name__ == "__main__":
    main()
