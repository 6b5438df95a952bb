"""How many of OpenMP's threads there are, and how they wait for each other.

The latter is said to the environment, which OpenMP reads when torch is imported.

``import photowords`` says it, so it counts for the command line, for workers, and for scripts that import photowords
before torch; what was imported before cannot be helped. What the user has set himself stays.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

SPINS = 1000
"""Turns (of some 15 ns) that a thread waits awake for the others before it sleeps.

libgomp's own 300,000 hold a core for milliseconds whenever another program has taken the core of a thread that is
waited for; without any, an idle machine pays for waking threads up some thousand times a step. ``benchmarks/busy.py``.
"""
FEW = 512
"""Latent cells of a batch up to which a second thread costs about as much as it helps: a step of the pocket has 256."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use, as microseconds of each period of so many; "max" is no limit."""


def prepare(environment: MutableMapping[str, str] = os.environ, quota: Path = QUOTA) -> None:
    """Set ``GOMP_SPINCOUNT`` and, in a container that may use fewer CPUs than it sees, ``OMP_NUM_THREADS``.

    Does nothing once torch is imported, nor to what the user has decided.
    """
    if "torch" in sys.modules:
        return
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))
    if (allowed := _allowed(quota)) < (os.cpu_count() or 1):
        environment.setdefault("OMP_NUM_THREADS", str(allowed))


@contextmanager
def for_cells(cells: int) -> Iterator[None]:
    """One thread instead of two while so few latent cells are computed with on the CPU.

    Each of a small network's many operations ends with one thread waiting for the other: hardly worth it on an idle
    machine, and several times slower where another program has one of the cores. Where the user has set
    ``OMP_NUM_THREADS``, or where there are more threads, nothing changes.
    """
    import torch

    threads = torch.get_num_threads()
    if threads != 2 or cells > FEW or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _allowed(quota: Path) -> int:
    """Whole CPUs of a container's quota, at least 1; a large number where there is none."""
    try:
        share, period = quota.read_text().split()
        return max(1, round(int(share) / int(period)))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return sys.maxsize
