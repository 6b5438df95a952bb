"""Ctrl-C while processes are at work on many photos."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from photowords import follow, images
from photowords.learning.each import Share, Task, each
from photowords.settings import InvertSettings
from photowords.starts import Words


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
