"""Seconds per concept against the number of concepts and of processes: ``invert --each`` beside single commands.

``python -m benchmarks.many`` copies ``--photos`` pictures of the bank, learns each by a command of its own, then all of
them by one command with ``--each`` for each number of ``--workers`` and of concepts ``--together``, and prints seconds
per concept (everything in it: imports, model, captions, samples), of the clock and of CPU, their ratios to the single
commands', and how far the vectors end from those learned alone, as a share of the way they went. The order turns round
with each of ``--rounds``, since other programs may be at work.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from photowords import formats, pocket


def photos(folder: Path, count: int) -> list[Path]:
    """Pictures of the bank: each concept's first view, then its second, ..."""
    folder.mkdir()
    found = []
    for number, concept in itertools.islice(itertools.product(range(5), pocket.concepts()), count):
        found.append(folder / f"{concept}-{number}.png")
        shutil.copy(pocket.view(concept, number), found[-1])
    return found


class Taken(NamedTuple):
    """Seconds for a concept: of the clock, and of all CPUs together, which other programs disturb less."""

    wall: float
    cpu: float


def command(concepts: int, *arguments: object) -> Taken:
    """What one ``photowords`` command takes for each of so many concepts."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "photowords", *map(str, arguments)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(wall / concepts, cpu / concepts)


def middle(taken: list[Taken]) -> Taken:
    """The medians."""
    return Taken(*map(statistics.median, zip(*taken, strict=True)))


def distance(alone: Path, runs: Path) -> float:
    """Median over runs: how far the vectors end from those learned alone, as a share of the way from the start."""
    shares = []
    for folder in alone.iterdir():
        ends = [formats.read(where / folder.name / "concept.safetensors") for where in (alone, runs)]
        start = formats.read(folder / "start.safetensors")
        one, other, begin = (concept.vectors(start.encoders[0]) for concept in (*ends, start))
        shares.append(((one - other).norm() / (one - begin).norm()).item())
    return statistics.median(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=24, help="pictures (default: 24)")
    parser.add_argument("--singles", type=int, help="of them by commands of their own (default: all)")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="processes (default: 1 2)")
    parser.add_argument("--together", type=int, nargs="*", default=[1, 4], help="concepts in a batch (default: 1 4)")
    parser.add_argument("--rounds", type=int, default=2, help="times (default: 2)")
    parser.add_argument("rest", nargs="*", help="further options of photowords invert, after --")
    args = parser.parse_args()
    arms = list(itertools.product(args.workers, args.together))
    taken: dict[tuple[int, int] | None, list[Taken]] = {arm: [] for arm in (None, *arms)}
    with tempfile.TemporaryDirectory() as scratch:
        files = photos(Path(scratch) / "photos", args.photos)
        singles = files[: args.singles or len(files)]
        for number in range(args.rounds):
            alone = Path(scratch) / f"alone{number}"
            alone.mkdir()
            for arm in [None, *arms] if number % 2 == 0 else [*reversed(arms), None]:
                if arm is None:
                    for file in singles:
                        taken[None].append(command(1, "invert", file, "--out", alone / file.stem, *args.rest))
                    continue
                out = Path(scratch) / f"each{number}-{arm[0]}-{arm[1]}"
                shared = ("--workers", arm[0], "--together", arm[1])
                taken[arm].append(command(len(files), "invert", "--each", *files, "--out", out, *shared, *args.rest))
        single = middle(taken[None])
        print(f"{len(taken[None])} single commands: {single.wall:.1f} s a concept, {single.cpu:.1f} s of CPU")
        for arm in arms:
            own = middle(taken[arm])
            print(
                f"{arm[0]} workers, {arm[1]} together: {own.wall:.1f} s a concept, x{own.wall / single.wall:.2f}; "
                f"{own.cpu:.1f} s of CPU, x{own.cpu / single.cpu:.2f}"
            )
        last = Path(scratch) / f"each{args.rounds - 1}-{arms[-1][0]}-{arms[-1][1]}"
        print(f"vectors end {distance(alone, last):.1%} of their way from those learned alone (median)")


if __name__ == "__main__":
    main()
