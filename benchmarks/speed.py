"""How long the commands take on this machine, each in a process of its own, and the memory they hold.

``python -m benchmarks.speed`` prints wall seconds (model loading and everything else inside) and peak memory of
``--help``, of ``invert`` with the defaults on the pocket, and of the demo, best and worst of ``--runs``; and, side
by side in one process, the loop against a loop that does what common scripts do: encode the photo at every step
and give the UNet's weights gradients.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(arguments: list[str]) -> tuple[float, float]:
    """Wall seconds and peak megabytes of one ``photowords`` command."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "photowords", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        sys.exit(f"photowords {' '.join(arguments)} failed")
    return seconds, usage.ru_maxrss / 1024


def against_a_plain_loop(steps: int = 20) -> tuple[float, float]:
    """Seconds a step: ours, and a loop that encodes the photo at every step and gives the UNet's weights gradients."""
    import torch

    from photowords import backbones, images, pocket
    from photowords.initializers import start
    from photowords.inversion import Problem, invert
    from photowords.inversion.loss import denoising_loss
    from photowords.settings import InvertSettings
    from photowords.starts import Words

    backbone = backbones.load("pocket")
    photo = images.load_photo(pocket.view("mug"))
    concept = start(Words(words="blue and white checkered mug"), [photo], backbone)
    settings = InvertSettings(steps=steps, held_out=1, evaluate_every=steps)
    unet = backbone._pipe.unet  # type: ignore[attr-defined]
    picture = images.to_tensor(photo, backbone.picture_size).repeat(settings.batch, 1, 1, 1)

    def ours() -> float:
        began = time.perf_counter()
        for _ in invert(backbone, concept, [photo], settings):
            pass
        return (time.perf_counter() - began) / steps

    def plain() -> float:
        unet.requires_grad_(True)
        problem = Problem(backbone, concept, [photo], (), settings)
        rows = {name: problem.trained(name).requires_grad_() for name in concept.encoders}
        optimizer = torch.optim.AdamW(rows.values(), 0.02)
        began = time.perf_counter()
        for index in range(1, steps + 1):
            backbone.encode_picture(picture)
            batch = problem.draw(index)
            told = problem.conditioning(problem.vectors(rows), batch)
            denoising_loss(backbone, batch, told).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            unet.zero_grad()
        unet.requires_grad_(False)
        return (time.perf_counter() - began) / steps

    ours(), plain()  # warm up
    rounds = [(ours(), plain()) for _ in range(3)]
    return min(one for one, _ in rounds), min(other for _, other in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each command (default: 3)")
    args = parser.parse_args()
    from photowords import pocket

    with tempfile.TemporaryDirectory() as folder:
        for name, command in {
            "--help": ["--help"],
            "invert": ["invert", str(pocket.view("mug")), "--out", "RUN"],
            "demo": ["demo", "--out", "RUN"],
        }.items():
            results = []
            for run in range(args.runs):
                out = str(Path(folder) / f"{name.strip('-')}{run}")
                results.append(measure([out if word == "RUN" else word for word in command]))
            seconds, memory = zip(*results, strict=True)
            print(
                f"{name:8} {min(seconds):6.2f} to {max(seconds):6.2f} s, peak {max(memory):5.0f} MB ({args.runs} runs)"
            )
    ours, plain = against_a_plain_loop()
    print(f"a step of batch 4: {ours * 1e3:.0f} ms; plain loop {plain * 1e3:.0f} ms; ratio {plain / ours:.2f}")


if __name__ == "__main__":
    main()
