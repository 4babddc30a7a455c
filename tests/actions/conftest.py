"""Fixtures of the tests of `actions/`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gitops_ml.cli import main
from gitops_ml.report import Report

from tests.actions.comparison import GATES


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with gates.yaml and without a runner."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "gates.yaml").write_text(GATES)
    return tmp_path


@pytest.fixture
def diff(place: Path) -> Callable[..., tuple[int, Report]]:
    """Run the verb as the command line does; returns the exit code and the report read back."""

    def run(*options: str) -> tuple[int, Report]:
        code = main(["diff", "--head", "head", *options])
        return code, Report.model_validate_json((place / "report" / "report.json").read_text())

    return run
