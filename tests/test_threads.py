"""How OpenMP's threads wait is said before torch is imported, and never over what the user said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photowords import threads

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
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert prepared(tmp_path, "200000 100000\n")["OMP_NUM_THREADS"] == "2"
    assert prepared(tmp_path, "50000 100000\n")["OMP_NUM_THREADS"] == "1"
    assert prepared(tmp_path, "200000 100000\n", OMP_NUM_THREADS="9")["OMP_NUM_THREADS"] == "9"
    assert "OMP_NUM_THREADS" not in prepared(tmp_path, "max 100000\n")
    assert "OMP_NUM_THREADS" not in prepared(tmp_path, "9900000 100000\n")


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
