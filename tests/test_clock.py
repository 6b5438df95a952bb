"""Seconds by phase: a phase within another stops the other's."""

from __future__ import annotations

import pytest

from photowords import clock


def test_a_phase_within_another_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    measured = clock.Clock({"load": 1.5, "invert": 2.0})
    with measured("invert"):
        now = 3.0
        with measured("samples"):
            now = 10.0
            assert measured.seconds == {"load": 1.5, "invert": 5.0, "samples": 7.0}
        now = 11.0
    now = 100.0
    assert measured.seconds == {"load": 1.5, "invert": 6.0, "samples": 7.0}
