"""Ctrl-C while processes are at work on many photos."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photowords import follow, images, learning
from photowords.backbones import Backbone
from photowords.inversion import Run
from photowords.learning.each import ALL, Share, Task, each, together
from photowords.settings import InvertSettings
from photowords.starts import Words

SMALL = InvertSettings(steps=100, batch=2, held_out=4, evaluate_every=100)


def test_ctrl_c_keeps_the_steps_that_every_run_reached(tmp_path: Path, mug: Image.Image, tiny_folder: Path) -> None:
    settings = InvertSettings(steps=100_000, batch=2, held_out=4, evaluate_every=50_000)
    how = Share((), Words(words="red mug"), "it", settings, 0, "ends", str(tiny_folder), "cpu", "fp32", "auto")
    tasks = [Task(tmp_path / f"{number}.png", tmp_path / "runs" / str(number)) for number in range(2)]
    for number, task in enumerate(tasks):
        images.save_png(mug.rotate(90 * number), task.photo)

    def stop() -> None:
        while not all(len(follow.whole_lines(task.folder / follow.LOSSES)) > 3 for task in tasks):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process of parallel tests ignores
    try:
        with pytest.raises(KeyboardInterrupt):
            list(each(tasks, how, at_once=1, count=2))
    finally:
        signal.signal(signal.SIGINT, before)
    for task in tasks:
        now = follow.status(task.folder)
        assert now.state == "stopped" and now.step
        assert (task.folder / "checkpoints" / f"{now.step:06d}.safetensors").exists()


def test_what_has_not_begun_does_not_begin_after_ctrl_c(
    tiny: Backbone, tmp_path: Path, mug: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one batch begin one after the other, which may take long: a caption, the first loss, pictures."""
    tasks = [Task(tmp_path / f"{number}.png", tmp_path / "runs" / str(number)) for number in range(3)]
    for task in tasks:
        images.save_png(mug, task.photo)
    share = Share(tasks, Words(words="red mug"), "it", SMALL, 0, "ends", str(tiny.source), "cpu", "fp32", "auto")
    calls = []

    def begin(*told: Any, **options: Any) -> Run:
        calls.append(told)
        assert len(calls) == 1 or share.stop(), "Ctrl-C comes while the second begins"
        return learning.begin(*told, **options)

    monkeypatch.setattr("photowords.learning.each.begin", begin)
    failures = together(share, tiny)
    assert [failures[task] for task in tasks[:2]] == ["stopped at step 0"] * 2
    assert failures[tasks[2]] == "stopped before it began" and not tasks[2].folder.exists()
    assert [follow.state(task.folder) for task in tasks[:2]] == ["stopped"] * 2

    monkeypatch.undo()
    follow.stop(tasks[0].folder, ALL)  # as it stays where a process is killed before it comes to see it
    assert together(share, tiny) == dict.fromkeys(tasks)


def test_one_run_of_a_batch_is_stopped_alone(tiny: Backbone, tmp_path: Path, mug: Image.Image) -> None:
    tasks = [Task(tmp_path / f"{number}.png", tmp_path / "runs" / str(number)) for number in range(2)]
    for task in tasks:
        images.save_png(mug, task.photo)
    share = Share(tasks, Words(words="red mug"), "it", SMALL, 0, "ends", str(tiny.source), "cpu", "fp32", "auto")
    thread = threading.Thread(target=lambda: (wait_for(tasks[0].folder, 1), follow.stop(tasks[0].folder)))
    thread.start()
    failures = together(share, tiny)
    thread.join()
    assert (failures[tasks[0]] or "").startswith("stopped at step") and failures[tasks[1]] is None


def wait_for(folder: Path, step: int) -> None:
    while len(follow.whole_lines(folder / follow.LOSSES)) <= step:
        time.sleep(0.01)
