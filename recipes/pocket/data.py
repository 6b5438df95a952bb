"""Draws the training pictures once, so that the trainers never wait for a pen.

``python -m recipes.pocket.data`` fills ``data`` of the build folder with shards of 5,000 pictures (128 px, uint8)
and their specs; finished shards are kept. ``--pairs`` draws more of two objects alone, which only the diffusion model
sees: two fifths of its batches are of two, and it would know those of the even shards by heart. 100,000 pictures take
4 to 9 minutes on 2 cores, and 4.9 GB.

The build folder is ``build/pocket``, or what the environment variable POCKET_BUILD says.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipes.pocket.sample import random_picture
from recipes.pocket.world import SIZE, Picture, draw, read_picture

BUILD = Path(os.environ.get("POCKET_BUILD", "build/pocket"))
SHARD = 5_000
SHARDS = 32
HELD_OUT = 500  # the first pictures, which no part is trained on


def pixels(picture: Picture) -> NDArray[np.uint8]:
    """The drawing as training sees it, (128, 128, 3)."""
    return np.asarray(draw(picture))


def on_all_cores(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """``function`` of each item, in order, computed in as many processes as there are cores."""
    with ProcessPoolExecutor() as pool:  # which says so where a process dies; multiprocessing's pool waits for ever
        return list(pool.map(function, items, chunksize=50))


def _draw_shard(shard: tuple[int, bool]) -> None:
    number, pairs = shard
    target = BUILD / "data" / f"{'pairs-' * pairs}{number:02d}.npy"
    if target.exists():
        return
    rng = np.random.default_rng([128, number, 2] if pairs else [128, number])
    specs = [random_picture(rng, 2 if pairs else None) for _ in range(SHARD)]
    pictures = np.stack([pixels(spec) for spec in specs])
    target.with_suffix(".jsonl").write_text("\n".join(json.dumps(dataclasses.asdict(spec)) for spec in specs))
    with open(f"{target}.part", "wb") as file:
        np.save(file, pictures)
    os.replace(f"{target}.part", target)
    print(f"shard {target.stem} drawn", flush=True)


class Pictures:
    """The pictures of some shards as one array that stays on disk: ``pictures[numbers]`` is uint8 (n, 128, 128, 3)."""

    def __init__(self, files: list[Path]) -> None:
        self._shards = [np.load(file, mmap_mode="r") for file in files]

    def __len__(self) -> int:
        return SHARD * len(self._shards)

    def __getitem__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        chosen = [self._shards[number // SHARD][number % SHARD] for number in numbers.tolist()]
        return np.stack(chosen) if chosen else np.zeros((0, SIZE, SIZE, 3), np.uint8)


def drawn(pairs: bool = False) -> list[Path]:
    """The finished shards; with ``pairs`` those of two objects alone as well, behind the others."""
    files = sorted((BUILD / "data").glob("*.npy" if pairs else "[0-9]*.npy"))
    if not files:
        raise FileNotFoundError("no pictures drawn yet: run python -m recipes.pocket.data")
    return files


def load(files: list[Path]) -> tuple[Pictures, list[Picture]]:
    """The pictures of some shards and their specs; the first ``HELD_OUT`` of the first are for measuring."""
    lines = [line for file in files for line in file.with_suffix(".jsonl").read_text().splitlines()]
    return Pictures(files), [read_picture(json.loads(line)) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=SHARDS, help="shards of 5,000 pictures (default: 32)")
    parser.add_argument("--pairs", type=int, default=0, help="shards of 5,000 of two objects (default: 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: every core)")
    args = parser.parse_args()
    (BUILD / "data").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.workers) as pool:
        shards = [(n, False) for n in range(args.shards)] + [(n, True) for n in range(args.pairs)]
        list(pool.map(_draw_shard, shards))


if __name__ == "__main__":
    main()
