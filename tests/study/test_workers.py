"""Trials are the same wherever they run, and a kill at any moment costs only its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from photowords import study, threads, workers
from photowords.errors import UserError
from photowords.study import cost
from photowords.study.trial import Outcome
from tests.study.small_study import Silent, results, serially

KILLED = """
import sys
from pathlib import Path
from photowords import study
from photowords.cli.study import Board
if __name__ == "__main__":
    prepared = study.prepare(Path(sys.argv[1]), sys.argv[2], "cpu", "fp32")
    study.run(prepared, Path(sys.argv[3]), Board(), count=2)
"""


def test_processes_that_are_killed_leave_trials_that_count(
    prepared: study.Prepared, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, script = tmp_path / "out", tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(prepared.file), prepared.model, str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 240
        while not list(out.glob("trials/*.json")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.stderr and "4 trials take about " in process.stderr.read()  # workers end with it
    found = {name: data for name, data in results(out).items() if not Path(name).name.startswith(".")}
    assert any(name.startswith("trials") for name in found)
    assert found.items() <= results(finished).items()
    monkeypatch.setattr(workers, "on_processes", serially)
    watcher = Silent()
    study.run(prepared, out, watcher)
    assert len(watcher.done_before) >= 1 and results(out) == results(finished)


class Deadly:
    """A job that kills the worker that reads it: so many times, as a folder remembers."""

    device = "cpu"

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def __reduce__(self) -> Any:
        return _arrive, (self.folder, self.times)

    def lost(self, how: str) -> Outcome:
        return Outcome(failure=how)


class Arrived:
    def work(self) -> Outcome:
        return Outcome(failure="done")


class Seeing:
    """A job that says what GPU it sees."""

    def __init__(self, device: str) -> None:
        self.device = device

    def work(self) -> Outcome:
        return Outcome(failure=os.environ.get("CUDA_VISIBLE_DEVICES", "all"))


def _arrive(folder: Path, times: int) -> Any:
    before = len(list(folder.iterdir()))
    if before < times:
        (folder / str(before)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Arrived()


def test_a_job_whose_worker_dies_is_tried_once_more(tmp_path: Path) -> None:
    for name, times, told in (
        ("once", 1, "done"),
        ("always", 9, "its worker was killed by signal 9 (Killed), 2 times"),
    ):
        (tmp_path / name).mkdir()
        jobs: Any = [Deadly(tmp_path / name, times)]
        (end,) = [event.outcome for event in workers.on_processes(jobs, 1) if event.outcome]
        assert end.failure == told
        assert len(list((tmp_path / name).iterdir())) == min(times, workers.TRIES)


def test_a_two_node_ray_cluster_gives_the_same_bytes(
    prepared: study.Prepared, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # its own 15 starves beside any busy program
    node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
            study.run(prepared, tmp_path / "out", Silent(), ray=cluster.address)
        finally:
            ray.shutdown()
            cluster.shutdown()
    assert results(tmp_path / "out") == results(finished)


def test_without_ray_or_its_cluster_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("ray"):
        for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port"):
            with pytest.raises(UserError, match="no Ray cluster answers at"):
                list(workers.on_ray([], address))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"photowords\[ray\]"):
        list(workers.on_ray([], "auto"))


# --- how long it takes ---


def test_the_time_left_follows_what_trials_took(prepared: study.Prepared) -> None:
    star = prepared.trials[0]
    # Batch 4 forward and back (3 passes each), two held-out losses of 6, three prompts of 25 steps with guidance at
    # two scored steps, and one kept strip.
    assert cost.passes(star, 1) == 2 * 4 * 3 + 2 * 6 + (2 * 3 + 1) * 50
    meter = cost.Meter(prepared.trials, 1, 0.01, 2)
    total = sum(cost.passes(trial, 1) for trial in prepared.trials)
    assert meter.seconds_left == pytest.approx(total * 0.01 / 2)
    meter.ended(star, cost.passes(star, 1) * 0.5)
    assert meter.seconds_left == pytest.approx((total - cost.passes(star, 1)) * 0.5 / 2)


def test_processes_by_default_one_for_each_cpu_or_gpu_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers.default("cuda") == 1, "without any, too: what is wrong is said there"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(threads, "cpus", lambda: 5)
    counts = {device: workers.default(device) for device in ("cpu", "cuda", "cuda:1", "mps")}
    assert counts == {"cpu": 5, "cuda": 3, "cuda:1": 1, "mps": 1}


@pytest.mark.parametrize(
    ("device", "told", "seen"),
    [
        ("cuda", None, {"0", "1"}),
        ("cuda", "4, GPU-7", {"4", "GPU-7"}),
        ("cuda:1", None, {"all"}),
        ("cpu", None, {"all"}),
    ],
)
def test_each_process_sees_one_gpu(
    device: str, told: str | None, seen: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if told:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    jobs: Any = [Seeing(device) for _ in range(2)]
    assert {event.outcome.failure for event in workers.on_processes(jobs, 2) if event.outcome} == seen


def test_the_process_after_one_that_died_sees_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    monkeypatch.setattr(Deadly, "device", "cuda")
    jobs: Any = [Deadly(tmp_path, workers.TRIES), Seeing("cuda")]
    (first, second) = [event.outcome.failure for event in workers.on_processes(jobs, 1) if event.outcome]
    assert "killed" in first and second == "6"
