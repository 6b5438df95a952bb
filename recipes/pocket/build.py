"""Makes the whole pocket model, part after part; each part goes on where it was killed.

``python -m recipes.pocket.build`` runs every part in order. ``--parts autoencoder diffusion`` runs some of them,
``--minutes 60`` trains each of them for no more than an hour now (the autoencoder wants to be the only one), and
``--finish 1500`` ends a training without end.
On a GPU ``--within 8`` trains all but the autoencoder at once, ended eight minutes after they have begun to.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import torch

PARTS = ("data", "autoencoder", "diffusion", "judge", "captioner", "clip", "classifier", "scorer", "sharpen")
OPEN = {"autoencoder": (6_000, 1_000), "diffusion": (6_000, 2_000), "sharpen": (2_000, 500)}
"""Parts that are trained as long as there is time; by default so many steps at a constant rate, so many of its fall."""

GPU = {
    "diffusion": (1.0, "--batch 256 --lr 1.5e-3 --decay-share 0.8"),
    "judge": (0.55, "--batch 192"),
    "captioner": (0.55, "--batch 192"),
    "clip": (0.55, "--batch 256"),
    "classifier": (0.4, "--batch 192"),
    "scorer": (0.55, "--batch 256"),
    "sharpen": (0.6, "--batch 128 --decay-share 0.5"),
}
"""What each part gets of the time where all are trained at once on a GPU, and its options there."""

MOST = 8  # workers where nobody says: each holds the latents, and a batch is shared out among them
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
"""glibc keeps the memory of large tensors instead of giving it back at every step: a tenth faster."""


def command(part: str, workers: int, extra: list[str]) -> list[str]:
    """The command line that runs a part; trainers run on ``workers`` processes."""
    module = f"recipes.pocket.{part}"
    if part == "data":
        return [sys.executable, "-m", module, "--workers", str(workers)]
    if workers == 1:
        return [sys.executable, "-m", module, *extra]
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={workers}", "-m"]
    return [sys.executable, "-m", *launcher, module, *extra]


def timed(part: str, within: float, warm: str) -> list[str]:
    """The command line that trains a part on a GPU beside the others, ended within its share of the minutes."""
    share, own = GPU[part]
    until = ["--within", f"{share * within:.3f}", "--steps", "1000000", "--save-every", "1000000", "--warm", warm]
    return command(part, 1, [*until, *own.split()])


def side_by_side(parts: list[str], within: float, warm: str, environment: dict[str, str]) -> None:
    """Train parts at once on one GPU.

    The small ones have a part of the time, and leave the device to the diffusion model for the rest.
    """
    own = {**environment, "OMP_NUM_THREADS": "2"}
    running = [(part, subprocess.Popen(timed(part, within, warm), env=own)) for part in parts]
    failed = [part for part, process in running if process.wait() != 0]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="default: all, in order")
    parser.add_argument(
        "--workers",
        type=int,
        help=f"processes of one thread (default: cores, at most {MOST} of them for training; on a GPU one)",
    )
    parser.add_argument("--minutes", default="0", help="train each part for so many minutes now; 0: to its end")
    parser.add_argument("--warm", default="", help="folder of a trained pocket model to start from (default: none)")
    parser.add_argument(
        "--finish", default="0", help="only let an open-ended part's rate fall to zero, over so many steps"
    )
    parser.add_argument("--within", type=float, default=0.0, help="on a GPU: train all at once, within so many minutes")
    parser.add_argument("--batch", default="", help="pictures a step, all workers together (default: the part's own)")
    parser.add_argument("--lr", default="", help="the rate, which a warm start wants small (default: the part's own)")
    args = parser.parse_args()
    trainers = args.workers or (1 if torch.cuda.is_available() else min(MOST, os.cpu_count() or 1))
    pens = args.workers or os.cpu_count() or 1
    environment = {**MEMORY, **os.environ, "OMP_NUM_THREADS": "1"}
    if args.within:
        if args.minutes != "0" or args.finish != "0" or args.batch or args.lr or "autoencoder" in (args.parts or ()):
            parser.error("--within has batches of its own, ends by itself and leaves the autoencoder as it is")
        if args.parts is None or "data" in args.parts:
            subprocess.run(command("data", pens, []), check=True, env=environment)
        parts = [part for part in args.parts or PARTS if part in GPU]
        return side_by_side(parts, args.within, args.warm, environment)
    if args.minutes != "0" and "autoencoder" in (asked := args.parts or PARTS) and len(asked) > 1:
        parser.error("the other parts want an autoencoder at its end; train it by itself: --parts autoencoder")
    for part in args.parts or PARTS:
        began = time.time()
        extra = ["--minutes", args.minutes, "--warm", args.warm] + (["--batch", args.batch] if args.batch else [])
        extra += ["--lr", args.lr] if args.lr else []
        runs = [extra]
        if part in OPEN and args.finish != "0":
            runs = [[*extra, "--finish", args.finish]]
        elif part in OPEN and args.minutes == "0":
            runs = [[*extra, flag, str(steps)] for flag, steps in zip(("--steps", "--finish"), OPEN[part], strict=True)]
        for options in runs:
            subprocess.run(command(part, pens if part == "data" else trainers, options), check=True, env=environment)
        print(f"== {part}: {(time.time() - began) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
