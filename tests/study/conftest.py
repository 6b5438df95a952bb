"""The small study: planned, run to the end, and run by half."""

from __future__ import annotations

from pathlib import Path

import pytest

from photowords import files, study, workers
from photowords.study import runner
from tests.study.small_study import Silent, prepare, results, serially, write


@pytest.fixture(scope="session")
def prepared(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> study.Prepared:
    """The small study on a random Stable Diffusion, whose trials take a second."""
    return prepare(write(tmp_path_factory.mktemp("small")), tiny_folder)


@pytest.fixture(scope="session")
def finished(prepared: study.Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, run in this process."""
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "on_processes", serially)
        summary = study.run(prepared, out, Silent())
    assert summary["done"] == summary["trials"] == 4
    return out


@pytest.fixture
def half(finished: Path, prepared: study.Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder without its last two trials, and runs in this process."""
    monkeypatch.setattr(workers, "on_processes", serially)
    monkeypatch.setattr(runner, "report", lambda out: {})
    out = tmp_path / "half"
    for name, data in results(finished).items():
        if not any(trial.id in name for trial in prepared.trials[2:]):
            files.make_folder((out / name).parent)
            (out / name).write_bytes(data)
    return out
