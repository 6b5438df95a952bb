"""Makes the whole pocket model, part after part; each part goes on where it was killed.

``python -m recipes.pocket128.build`` runs every part in order. ``--parts autoencoder diffusion`` runs some of them,
``--minutes 60`` trains each of them for no more than an hour now, and ``--finish 1500`` ends a training without end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

PARTS = ("data", "autoencoder", "diffusion", "judge", "captioner", "clip", "classifier", "scorer", "sharpen")
OPEN = {"autoencoder": (6_000, 1_000), "diffusion": (6_000, 2_000), "sharpen": (2_000, 500)}
"""Parts that are trained as long as there is time; by default so many steps at a constant rate, so many of its fall."""

GPU = {
    "diffusion": (1.0, "--batch 512 --lr 2.5e-3 --decay-share 0.8 --compile 1"),
    "judge": (0.55, "--batch 192"),
    "captioner": (0.55, "--batch 192"),
    "clip": (0.55, "--batch 256"),
    "classifier": (0.4, "--batch 192"),
    "scorer": (0.55, "--batch 256"),
    "sharpen": (0.6, "--batch 128 --decay-share 0.5"),
}
"""What each part gets of the time where all are trained at once on a GPU, and its options there."""

MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
"""glibc keeps the memory of large tensors instead of giving it back at every step: a tenth faster."""


def command(part: str, workers: int, extra: list[str]) -> list[str]:
    """The command line that runs a part; trainers run on ``workers`` processes."""
    module = f"recipes.pocket128.{part}"
    if part == "data":
        return [sys.executable, "-m", module]
    if workers == 1:
        return [sys.executable, "-m", module, *extra]
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={workers}", "-m"]
    return [sys.executable, "-m", *launcher, module, *extra]


def side_by_side(parts: list[str], within: float, environment: dict[str, str]) -> None:
    """Draw the pictures, then train all parts at once on one GPU, each ended within its share of the minutes.

    The small ones have a part of the time, and leave the device to the diffusion model for the rest.
    """
    if "data" in parts:
        subprocess.run(command("data", 1, []), check=True, env=environment)
    running = []
    for part in parts:
        if part in GPU:
            share, extra = GPU[part]
            line = command(
                part,
                1,
                ["--within", f"{share * within:.3f}", "--steps", "1000000", "--save-every", "1000000", *extra.split()],
            )
            running.append((part, subprocess.Popen(line, env={**environment, "OMP_NUM_THREADS": "2"})))
    failed = [part for part, process in running if process.wait() != 0]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all, in order")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes of one thread (default: cores)")
    parser.add_argument("--minutes", default="0", help="train each part for so many minutes now; 0: to its end")
    parser.add_argument("--warm", default="", help="folder of a trained pocket model to start from (default: none)")
    parser.add_argument(
        "--finish", default="0", help="only let an open-ended part's rate fall to zero, over so many steps"
    )
    parser.add_argument("--within", type=float, default=0.0, help="on a GPU: train all at once, within so many minutes")
    parser.add_argument("--batch", default="", help="pictures a step, all workers together (default: the part's own)")
    args = parser.parse_args()
    environment = {**MEMORY, **os.environ, "OMP_NUM_THREADS": "1"}
    if args.within:
        return side_by_side(args.parts, args.within, environment)
    for part in args.parts:
        began = time.time()
        extra = ["--minutes", args.minutes, "--warm", args.warm] + (["--batch", args.batch] if args.batch else [])
        runs = [extra]
        if part in OPEN and args.finish != "0":
            runs = [[*extra, "--finish", args.finish]]
        elif part in OPEN and args.minutes == "0":
            runs = [[*extra, flag, str(steps)] for flag, steps in zip(("--steps", "--finish"), OPEN[part], strict=True)]
        for options in runs:
            subprocess.run(command(part, args.workers, options), check=True, env=environment)
        print(f"== {part}: {(time.time() - began) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
