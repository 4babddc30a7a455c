"""Random histories against the promises of delivery. The environment variable HISTORIES makes it quicker."""

from __future__ import annotations

import os

import pytest

from tests.delivery import machine
from tests.delivery.truth import covered

HISTORIES = int(os.environ.get("HISTORIES", "10000"))


def test_every_promise_holds_in_every_history(capsys: pytest.CaptureFixture[str]) -> None:
    covered.clear()
    machine.run(HISTORIES)
    with capsys.disabled():
        print(
            f"\n{covered['histories']} histories, {len(covered)} kinds of transition, {covered.total()} in all:"
        )
        for name, count in sorted(covered.items()):
            print(f"{count:>9}  {name}")
    assert covered["histories"] >= HISTORIES
