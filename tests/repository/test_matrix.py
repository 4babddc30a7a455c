"""The nightly matrix: rows as a workflow reads them, and a command that fails makes the row fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import matrix
from tools.answers import choices, pairwise


def test_the_rows_are_those_of_the_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    rows = json.loads(printed)["include"]
    assert [entry["row"] for entry in rows] == list(range(len(pairwise(choices()))))
    assert len({entry["name"] for entry in rows}) == len(rows)


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("false", 1)])
def test_a_row_fails_with_the_first_command_that_fails(
    command: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITOPS_ML_SKIP_LOCK", "1")
    monkeypatch.setattr(matrix, "COMMANDS", ((command,), ("test", "-f", "dvc.yaml")))
    assert matrix.main(["0", str(tmp_path)]) == code


def test_a_row_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        matrix.main(["10000", str(tmp_path)])
