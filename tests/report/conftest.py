"""A finished study and its report."""

from __future__ import annotations

from typing import Any

import pytest

from photowords.report import build
from tests.report.synthetic import make


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished study and its report, for tests that only look."""
    folder = make(tmp_path_factory.mktemp("study") / "out")
    build.write(folder)
    return folder
