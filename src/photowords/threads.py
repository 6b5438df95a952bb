"""How many CPUs there are, how many of OpenMP's threads, and how these wait for each other.

The last is said to the environment, which OpenMP reads when torch is imported.

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
    if (allowed := cpus(quota)) < _reachable():
        environment.setdefault("OMP_NUM_THREADS", str(allowed))


@contextmanager
def for_cells(cells: int) -> Iterator[None]:
    """One thread instead of two while so few latent cells are computed with on the CPU.

    Each of a small network's many operations ends with one thread waiting for the other: hardly worth it on an idle
    machine, and several times slower where another program has one of the cores. Where the user has set
    ``OMP_NUM_THREADS``, or where there are more threads, nothing changes.
    """
    import torch

    before, threads = torch.get_num_threads(), of_step(cells)
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def of_step(cells: int) -> int:
    """Threads that so many latent cells are computed with on the CPU (``for_cells``)."""
    import torch

    threads = torch.get_num_threads()
    return 1 if threads == 2 and cells <= FEW and "OMP_NUM_THREADS" not in os.environ else threads


def cpus(quota: Path = QUOTA) -> int:
    """CPUs that this process may use: those that it may run on, or as many as its container's quota is worth."""
    return min(_reachable(), _allowed(quota))


def _reachable() -> int:
    """CPUs that this process may run on, which OpenMP sees by itself."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _allowed(quota: Path) -> int:
    """Whole CPUs of a container's quota, at least 1; a large number where there is none."""
    try:
        share, period = quota.read_text().split()
        return max(1, round(int(share) / int(period)))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return sys.maxsize
