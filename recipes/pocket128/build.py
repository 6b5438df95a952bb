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

from recipes.pocket128.training import compact

PARTS = ("data", "autoencoder", "diffusion", "judge", "captioner", "clip", "classifier", "scorer", "sharpen")
OPEN = {"autoencoder": (6_000, 1_000), "diffusion": (6_000, 2_000), "sharpen": (2_000, 500)}
"""Parts that are trained as long as there is time; by default so many steps at a constant rate, so many of its fall."""

MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
"""glibc keeps the memory of large tensors instead of giving it back at every step: a tenth faster."""


def command(part: str, workers: int, extra: list[str]) -> list[str]:
    """The command line that runs a part; trainers run on ``workers`` processes."""
    module = f"recipes.pocket128.{part}"
    if part == "data":
        return [sys.executable, "-m", module, "--workers", str(workers)]
    if workers == 1:
        return [sys.executable, "-m", module, *extra]
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={workers}", "-m"]
    return [sys.executable, "-m", *launcher, module, *extra]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all, in order")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes of one thread (default: cores)")
    parser.add_argument("--minutes", default="0", help="train each part for so many minutes now; 0: to its end")
    parser.add_argument("--warm", default="", help="folder of a trained pocket model to start from (default: none)")
    parser.add_argument(
        "--finish", default="0", help="only let an open-ended part's rate fall to zero, over so many steps"
    )
    parser.add_argument("--batch", default="", help="pictures a step, all workers together (default: the part's own)")
    parser.add_argument(
        "--compact", metavar="RUN", help='only write checkpoints/ of "diffusion", "diffusion-finish", ...'
    )
    args = parser.parse_args()
    if args.compact:
        return compact(args.compact)
    environment = {**MEMORY, **os.environ, "OMP_NUM_THREADS": "1"}
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
