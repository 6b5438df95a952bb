"""From photos to a run folder: the whole job, as the command line, the page, the demo and scripts use it.

A run is followed: from within the process that learns by iterating over ``course``, from any other by its folder's
files (``photowords.follow``), through which it is also stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from photowords import jobs, segmentation
from photowords.backbones import Backbone
from photowords.concept import Concept
from photowords.inversion import Run
from photowords.learning.beginning import begin, begin_job, pictures_of
from photowords.learning.course import course, taken
from photowords.settings import InvertSettings
from photowords.starts import Start

__all__ = ["begin", "begin_job", "course", "go_on", "learn", "pictures_of", "taken"]


def learn(
    backbone: Backbone,
    photo_files: Sequence[Path | str],
    out: Path | str,
    init: Start | Concept | str = "caption",
    name: str | None = None,
    settings: InvertSettings | None = None,
    samples: int = jobs.SAMPLES,
    selections: Sequence[segmentation.Selection | None] = (),
) -> dict[str, Any]:
    """Invert photos into a new run folder and return its summary (see ``inversion.summary``).

    ``begin`` and ``course`` in one; they raise the same.
    """
    return _whole(begin(backbone, photo_files, out, init, name, settings, samples, selections), backbone)


def go_on(run: Run, backbone: Backbone, steps: int | None = None) -> dict[str, Any]:
    """Continue a run to its end and return its summary: ``course`` as a whole."""
    return _whole(run, backbone, steps)


def _whole(run: Run, backbone: Backbone, steps: int | None = None) -> dict[str, Any]:
    with course(run, backbone, steps) as taken:
        deque(taken, maxlen=0)
    return run.result()
