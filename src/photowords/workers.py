"""Where jobs run: processes of this machine, or a Ray cluster. Both answer with the same events."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from photowords import threads
from photowords.errors import PhotowordsWarning, UserError, reason

PATIENCE = 60.0
"""Seconds that jobs have to end where they said that they would: a step of a large model, and a checkpoint."""
TRIES = 2
"""A job whose worker dies is tried once more, on a fresh worker."""


class Job(Protocol):
    """What can be sent to another process, and is done there."""

    @property
    def device(self) -> str:
        """What it computes on, as ``backbones.load`` takes it."""

    def work(self) -> Any:
        """Do it, and say what came of it. A failure is an answer, not an error."""

    def stop(self) -> bool:
        """Ask it, from another process, to end soon and keep what it reached; whether it will."""

    def lost(self, how: str) -> Any:
        """The answer when it could not be done, for a reason that is not its own."""


@dataclass(frozen=True)
class Event:
    """A job, by its place among them, has begun (``outcome`` None) or ended with what its ``work`` returned."""

    index: int
    outcome: Any = None


def default(device: str) -> int:
    """Processes where none were asked for: one for each CPU or GPU that may be used, or one on a GPU that is named."""
    return threads.cpus() if device == "cpu" else len(_gpus(device)) or 1


def on_cluster(device: str) -> str:
    """What a job computes on as a task of a Ray cluster: on cuda it sees one GPU, wherever that is, and no other."""
    return "cuda" if device.startswith("cuda") else device


def _gpus(device: str) -> list[str]:
    """The GPUs that "cuda" may mean here, as CUDA_VISIBLE_DEVICES calls them; none for a device that says which."""
    if device != "cuda":
        return []
    import torch

    told = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    count = torch.cuda.device_count()
    return [name.strip() for name in told[:count]] if told[0] else [str(number) for number in range(count)]


def on_processes(jobs: Sequence[Job], count: int) -> Generator[Event, None, None]:
    """Run jobs in ``count`` spawned processes. Closing the iterator, or Ctrl-C, stops the jobs at
    work, and ends the processes.

    Where jobs are on "cuda", each process sees one GPU alone, in turn, so that what it loads stays on that one.
    """
    # Spawned, because torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    waiting = deque((index, 1) for index in range(len(jobs)))
    gpus = _gpus(jobs[0].device) if jobs else []
    idle = [_Worker(context, gpus[number % len(gpus)] if gpus else None) for number in range(min(count, len(jobs)))]
    busy: dict[Connection, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                index, attempt = waiting.popleft()
                worker.give(jobs[index], index, attempt)
                busy[worker.pipe] = worker
                yield Event(index)
            for pipe in wait(list(busy)):
                worker = busy.pop(pipe)  # type: ignore[call-overload]
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    died = worker.stop(patience=10)  # it is ending, and can soon say how
                    idle.append(_Worker(context, worker.gpu))
                    if worker.attempt < TRIES:
                        waiting.appendleft((worker.index, worker.attempt + 1))
                        continue
                    outcome = jobs[worker.index].lost(f"its worker {died}, {TRIES} times")
                else:
                    idle.append(worker)
                yield Event(worker.index, outcome)
    finally:
        stopping = [worker for worker in busy.values() if jobs[worker.index].stop()]
        ends = time.monotonic() + PATIENCE
        for worker in [*stopping, *idle, *busy.values()]:
            worker.stop(max(0.2, ends - time.monotonic()) if worker in stopping else 0.2)


class _Worker:
    """A process at the other end of a pipe, the GPU that it sees (None: all there are), and the job it has."""

    def __init__(self, context: Any, gpu: str | None) -> None:
        self.gpu = gpu
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, gpu), daemon=True)
        self._process.start()
        theirs.close()  # so that the process's end is the pipe's
        self.index, self.attempt = -1, 0

    def give(self, job: Job, index: int, attempt: int) -> None:
        self.index, self.attempt = index, attempt
        with suppress(OSError):  # of one that is dead already, which its silence will tell
            self.pipe.send(job)

    def stop(self, patience: float = 0.2) -> str:
        """End the process; says how it had ended by itself within so many seconds."""
        self.pipe.close()
        self._process.join(patience)
        code = self._process.exitcode
        self._process.terminate()  # which lets it give its semaphores back
        self._process.join(2)
        self._process.kill()
        self._process.join()
        if code is not None and code < 0:
            return f"was killed by signal {-code} ({signal.strsignal(-code)})"
        return f"ended with status {code}"


def _serve(pipe: Connection, gpu: str | None) -> None:
    """The life of a process: jobs in, outcomes out, until the pipe is closed or its parent is gone."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # which CUDA reads when it is first used
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    while True:
        try:
            pipe.send(pipe.recv().work())
        except (EOFError, OSError):
            return


def _end_with(parent: Any) -> None:
    """A killed parent leaves no process at work."""
    parent.join()
    os._exit(1)


def on_ray(jobs: Sequence[Job], address: str) -> Generator[Event, None, None]:
    """Run jobs as tasks of a Ray cluster, one CPU each, and one GPU where they are on cuda.

    ``address``: "auto" for the cluster at hand, "local" for one on this machine, host:port, or ray://host:port.
    Its machines need photowords and the model. Raises UserError without Ray, and where no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError('`ray` needs Ray, which is not installed; run: pip install "photowords[ray]"') from error
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level="error")
        except Exception as error:  # a connection refused, a version that differs, a port that is no number
            raise UserError(
                f"no Ray cluster answers at {address!r} ({reason(error)}); start one with: ray start --head"
            ) from error
    gpus = 1 if jobs and jobs[0].device.startswith("cuda") else 0
    kind = "GPU" if gpus else "CPU"
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_work)
    waiting = deque((index, 1) for index in range(len(jobs)))
    busy: dict[Any, tuple[int, int]] = {}
    try:
        while waiting or busy:
            # The cluster may grow and shrink; more tasks than it has room for would only wait there.
            room = int(ray.cluster_resources().get(kind, 0))
            if not room:  # Ray itself would say nothing
                said = f"the Ray cluster has no {kind}, so all waits until one joins it; `device` says on what to work"
                warnings.warn(said, PhotowordsWarning, stacklevel=2)
            while waiting and len(busy) < max(room, 1):
                index, attempt = waiting.popleft()
                busy[task.remote(jobs[index])] = (index, attempt)
                yield Event(index)
            done, _ = ray.wait(list(busy), num_returns=1, timeout=10)
            for reference in done:
                index, attempt = busy.pop(reference)
                try:
                    outcome = ray.get(reference)
                except Exception as error:  # the worker or its machine is gone, or cannot import the package
                    if attempt < TRIES:
                        waiting.appendleft((index, attempt + 1))
                        continue
                    outcome = jobs[index].lost(f"its worker failed ({reason(error)}), {TRIES} times")
                yield Event(index, outcome)
    finally:
        if any([jobs[index].stop() for index, _ in busy.values()]):
            ray.wait(list(busy), num_returns=len(busy), timeout=PATIENCE)
        for reference in busy:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError or ValueError where nobody answers at host:port: Ray itself would try for minutes."""
    if ":" in address:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()


def _work(job: Job) -> Any:
    return job.work()
