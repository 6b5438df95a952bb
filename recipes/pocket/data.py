"""Draws the training pictures once, so that the trainers never wait for a pen.

``python -m recipes.pocket.data`` fills ``build/pocket/data`` with shards of 10,000 pictures (64 px,
uint8) and their specs; finished shards are kept. 120,000 pictures take about 3 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipes.pocket.bank import is_held_out
from recipes.pocket.world import Spec, draw, random_spec

BUILD = Path("build/pocket")
SIZE = 64  # the model's picture side
SHARD = 10_000
SHARDS = 12


def sample(rng: np.random.Generator, **fixed: Any) -> Spec:
    """A random drawing that is no concept of the bank."""
    while is_held_out(spec := random_spec(rng, **fixed)):
        pass
    return spec


def pixels(spec: Spec) -> NDArray[np.uint8]:
    """The drawing as training sees it, (64, 64, 3): drawn at twice the size and shrunk."""
    return np.asarray(draw(spec, 2 * SIZE).reduce(2))


def _draw_shard(number: int) -> None:
    target = BUILD / "data" / f"{number:02d}.npy"
    if target.exists():
        return
    rng = np.random.default_rng([2026, number])
    specs = [sample(rng) for _ in range(SHARD)]
    pictures = np.stack([pixels(spec) for spec in specs])
    lines = "\n".join(json.dumps(dataclasses.asdict(spec)) for spec in specs)
    target.with_suffix(".jsonl").write_text(lines)
    with open(f"{target}.part", "wb") as file:
        np.save(file, pictures)
    os.replace(f"{target}.part", target)
    print(f"shard {number} drawn", flush=True)


def load(shards: int | None = None) -> tuple[NDArray[np.uint8], list[Spec]]:
    """Pictures (n, 64, 64, 3) and their specs from the finished shards."""
    files = sorted((BUILD / "data").glob("*.npy"))[:shards]
    if not files:
        raise FileNotFoundError("no pictures drawn yet: run python -m recipes.pocket.data")
    pictures = np.concatenate([np.load(file) for file in files])
    specs = [Spec(**json.loads(line)) for file in files for line in file.with_suffix(".jsonl").read_text().splitlines()]
    return pictures, specs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=SHARDS, help="shards of 10,000 pictures (default: 12)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: every core)")
    args = parser.parse_args()
    (BUILD / "data").mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(args.workers) as pool:
        pool.map(_draw_shard, range(args.shards), chunksize=1)


if __name__ == "__main__":
    main()
