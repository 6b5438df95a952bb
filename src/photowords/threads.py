"""How OpenMP's threads wait for each other: said to the environment, which it reads when torch is imported.

``import photowords`` says it, so it counts for the command line, for workers, and for scripts that import photowords
before torch; what was imported before cannot be helped. What the user has set himself stays.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

SPINS = 1000
"""Turns (of some 15 ns) that a thread waits awake for the others before it sleeps.

libgomp's own 300,000 hold a core for milliseconds whenever another program has taken the core of a thread that is
waited for; without any, an idle machine pays for waking threads up some thousand times a step. ``benchmarks/busy.py``.
"""
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


def _allowed(quota: Path) -> int:
    """Whole CPUs of a container's quota, at least 1; a large number where there is none."""
    try:
        share, period = quota.read_text().split()
        return max(1, round(int(share) / int(period)))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return sys.maxsize
