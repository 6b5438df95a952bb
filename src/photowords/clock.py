"""What a run has taken, by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Seconds by phase; ``spent`` are those of before. A phase within another stops the other's time."""

    def __init__(self, spent: Mapping[str, float] | None = None) -> None:
        self._spent = dict(spent or {})
        self._phase: str | None = None
        self._since = 0.0

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        outer = self._phase
        self._turn_to(phase)
        try:
            yield
        finally:
            self._turn_to(outer)

    @property
    def seconds(self) -> dict[str, float]:
        """So far, the running phase included."""
        self._turn_to(self._phase)
        return {phase: round(seconds, 3) for phase, seconds in self._spent.items()}

    def _turn_to(self, phase: str | None) -> None:
        now = time.perf_counter()
        if self._phase is not None:
            self._spent[self._phase] = self._spent.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
