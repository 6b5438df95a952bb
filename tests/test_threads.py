"""How OpenMP's threads wait, said before torch is imported; how many a step has; and never over what the user said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photowords import images, pocket, threads
from photowords.backbones import Backbone
from photowords.initializers import start
from photowords.inversion import invert
from photowords.settings import InvertSettings
from photowords.starts import Words

ROOT = Path(__file__).parents[1]
NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")


def prepared(tmp_path: Path, quota: str | None = None, **told: str) -> dict[str, str]:
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota)
    environment = dict(told)
    threads.prepare(environment, file)
    return environment


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")


@pytest.mark.usefixtures("without_torch")
def test_what_the_user_has_said_stays(tmp_path: Path) -> None:
    assert prepared(tmp_path) == {"GOMP_SPINCOUNT": str(threads.SPINS)}
    assert prepared(tmp_path, GOMP_SPINCOUNT="7") == {"GOMP_SPINCOUNT": "7"}
    assert prepared(tmp_path, OMP_WAIT_POLICY="ACTIVE") == {"OMP_WAIT_POLICY": "ACTIVE"}


@pytest.mark.usefixtures("without_torch")
def test_a_containers_quota_is_its_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_reachable", lambda: 64)
    assert prepared(tmp_path, "200000 100000\n")["OMP_NUM_THREADS"] == "2"
    assert prepared(tmp_path, "50000 100000\n")["OMP_NUM_THREADS"] == "1"
    assert prepared(tmp_path, "200000 100000\n", OMP_NUM_THREADS="9")["OMP_NUM_THREADS"] == "9"
    assert "OMP_NUM_THREADS" not in prepared(tmp_path, "max 100000\n")
    assert "OMP_NUM_THREADS" not in prepared(tmp_path, "9900000 100000\n")


def test_cpus_are_those_that_may_be_run_on_and_no_more_than_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 4}, raising=False)
    file = tmp_path / "cpu.max"
    assert threads.cpus(file) == 3
    for quota, cpus in (("100000 100000\n", 1), ("200000 100000\n", 2), ("900000 100000\n", 3), ("max 100000\n", 3)):
        file.write_text(quota)
        assert threads.cpus(file) == cpus


def test_nothing_is_said_once_torch_is_imported(tmp_path: Path) -> None:
    import torch  # noqa: F401

    assert prepared(tmp_path, "50000 100000\n") == {}


@pytest.mark.parametrize(
    ("code", "spins"), [("import photowords, torch", str(threads.SPINS)), ("import torch, photowords", "300000")]
)
def test_libgomp_reads_it_when_torch_comes_after_photowords(code: str, spins: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "OMP_DISPLAY_ENV": "VERBOSE"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    if "GOMP_SPINCOUNT" not in run.stderr:
        pytest.skip("this torch does not use libgomp")
    assert f"GOMP_SPINCOUNT = '{spins}'" in run.stderr


@pytest.mark.parametrize(
    ("before", "cells", "told", "inside"),
    [(2, 256, {}, 1), (2, 4096, {}, 2), (4, 256, {}, 4), (1, 256, {}, 1), (2, 256, {"OMP_NUM_THREADS": "2"}, 2)],
)
def test_a_small_step_has_one_thread_where_there_are_two(
    before: int, cells: int, told: dict[str, str], inside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    now = [before]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[-1])
    monkeypatch.setattr(torch, "set_num_threads", now.append)
    with pytest.raises(KeyboardInterrupt), threads.for_cells(cells):
        assert now[-1] == inside
        raise KeyboardInterrupt
    assert now[-1] == before, "whatever ended it"


def test_the_pockets_step_is_such_a_small_one(monkeypatch: pytest.MonkeyPatch, pocket_model: Backbone) -> None:
    seen: list[int] = []
    real = threads.for_cells
    monkeypatch.setattr(threads, "for_cells", lambda cells: (seen.append(cells), real(cells))[1])
    concept = start(Words(words="blue mug"), [], pocket_model, "mug")
    photo = images.load_photo(pocket.view("mug"))
    list(invert(pocket_model, concept, [photo], InvertSettings(steps=1, held_out=1)))
    assert seen == [256] and seen[0] <= threads.FEW
