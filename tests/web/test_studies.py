"""Studies in the page: how far each is, and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from photowords import files
from tests.web.browser import Server


@pytest.fixture
def study(server: Server) -> Path:
    """Half done: two photos, two arms, one seed."""
    folder = server.runs / "a study"
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    names = [f"{photo}-{arm}-s0-0123abcd" for photo in ("mug", "bird") for arm in ("caption", "star")]
    plan = {
        "question": "is <b> & better?",
        "concepts": [{"name": "mug"}, {"name": "bird"}],
        "arms": [{"name": "caption"}, {"name": "star"}],
        "seeds": [0],
        "trials": names,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    for name in names[:3]:
        (folder / "trials" / f"{name}.json").write_text("{}")
    (folder / "trials" / "of-an-older-plan.json").write_text("{}")
    return folder


def test_a_study_shows_how_far_it_is(server: Server, study: Path) -> None:
    (row,) = [one for one in server.found("/api/studies") if one["study"] == "a study"]
    assert (row["state"], row["done"], row["failed"], row["trials"]) == ("stopped", 3, 0, 4) and "cells" not in row
    told = server.found("/api/studies/a%20study")
    states = {(cell["concept"], cell["arm"]): cell["state"] for cell in told["cells"]}
    assert states.pop(("bird", "star")) == "waiting" and set(states.values()) == {"done"} and len(states) == 3
    with files.locked(study, "a test"):
        assert server.found("/api/studies/a%20study")["state"] == "running"
    assert "a study" not in [run["run"] for run in server.found("/api/runs")["runs"]]


def test_trials_that_failed_are_told_until_they_are_done(server: Server, study: Path) -> None:
    trace = "Traceback (most recent call last):\n  mug-caption: no trial\n"
    names = ("bird-star-s0-0123abcd", "mug-star-s0-0123abcd", "of-an-older-plan")
    (study / "errors.log").write_text("".join(f"{name}: no memory: none at all\n{trace}" for name in names))
    (row,) = [one for one in server.found("/api/studies") if one["study"] == "a study"]
    assert (row["done"], row["failed"]) == (3, 1), "one was done later"
    cells = server.found("/api/studies/a%20study")["cells"]
    assert [(cell["concept"], cell["arm"]) for cell in cells if cell["state"] == "failed"] == [("bird", "star")]
    (study / "errors.log").unlink()


def test_a_study_is_followed(server: Server, study: Path) -> None:
    told = server.follow("/api/studies/a%20study/events", "study")
    assert next(told)["done"] == 3
    (study / "errors.log").write_text("bird-star-s0-0123abcd: no memory\n")
    assert next(told)["failed"] == 1
    (study / "trials" / "bird-star-s0-0123abcd.json").write_text("{}")
    now = next(told)
    assert (now["done"], now["failed"], now["state"], now["report_url"]) == (4, 0, "done", None)
    (study / "trials" / "bird-star-s0-0123abcd.json").unlink()
    (study / "errors.log").unlink()


def test_the_report_is_a_page_without_scripts(server: Server, study: Path) -> None:
    (study / "report").mkdir(exist_ok=True)
    (study / "report" / "report.html").write_text("<style>p {color: red}</style><p>what came out")
    address = server.found("/api/studies/a%20study")["report_url"]
    answer = server.get(address)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy and "'unsafe-inline'" in policy
    assert server.get("/api/studies/a%20study/files/plan.json").status == 404
    assert server.get("/api/studies/a%20study/files/report/%2e%2e/plan.json").status == 404


def test_a_study_that_cannot_be_read_is_no_study(server: Server, study: Path) -> None:
    (study / "plan.json").write_text("{")
    assert server.get("/api/studies/a%20study").status == 404
    assert "a study" not in [one["study"] for one in server.found("/api/studies")]
