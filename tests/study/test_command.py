"""``photowords study``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from photowords import study, workers
from photowords.cli import main
from tests.study.small_study import serially


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["study", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_the_command_lists_runs_and_checks(
    prepared: study.Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "on_processes", serially)
    model = ("--model", prepared.model, "--device", "cpu", "--dtype", "fp32")
    status, out, _ = command(capsys, prepared.file, "--dry-run", "--workers", "2", *model)
    lines = out.splitlines()
    assert status == 0 and [line.split()[0] for line in lines[:4]] == [trial.id for trial in prepared.trials]
    assert lines[4].startswith("4 trials take about ") and lines[4].endswith(" on 2 workers")
    status, _, err = command(capsys, prepared.file, "--dry-run", "--out", prepared.file.parent, *model)
    assert status == 2 and "holds something that is no study" in err

    status, out, err = command(capsys, prepared.file, "--out", tmp_path / "out", "--json", *model)
    assert status == 0 and json.loads(out)["done"] == 4
    said = [line for line in err.splitlines() if not line.startswith("warning: ")]
    _, out, _ = command(capsys, prepared.file, "--dry-run", "--out", tmp_path / "out", *model)
    lines = out.splitlines()
    assert lines[0].endswith("done") and lines[4] == "4 trials, all done"
    assert said[0].startswith("4 trials take about ") and said[4].startswith(f"4/4 {prepared.trials[3].id}")

    status, out, _ = command(capsys, "--check", tmp_path / "out")
    assert status == 0 and "exactly what its trials give" in out
    table = tmp_path / "out" / "report" / "tables" / "trials.csv"
    table.write_text(table.read_text().replace("mug", "jug"))
    status, out, err = command(capsys, "--check", tmp_path / "out")
    assert status == 2 and out == "" and "are not what its trials give" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no study was given"),
        (("a.toml",), "add --out DIR"),
        (("none.toml", "--out", "x"), "cannot be read"),
        (("a.toml", "--out", "x", "--workers", "0"), "at least 1"),
        (("a.toml", "--check", "x"), "--check asks only for a study's folder; leave FILE out"),
        (("--check", "x", "--out", "y"), "leave --out out"),
        (("--check", "x", "--model", "pocket"), "leave --model out"),
        (("--check", "x", "--dry-run"), "leave --dry-run out"),
        (("--check", "x", "--workers", "2"), "leave --workers out"),
        (("a.toml", "--out", "x", "--workers", "2", "--ray", "auto"), "--workers is for processes of this machine"),
    ],
)
def test_a_bad_command_gets_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = command(capsys, *arguments)
    assert status == 2 and out == "" and said in err and len(err.splitlines()) == 1
