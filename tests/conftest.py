"""Fixtures of all tests: a forge, held to GitHub's own description."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.tools import required


@pytest.fixture(scope="session")
def contract() -> Contract | None:
    """GitHub's description; a forge does without it where it is not installed and not required."""
    path = required.need("openapi") if required.required() else required.find("openapi")
    return Contract.load(path) if path else None


@pytest.fixture
def forge(contract: Contract | None) -> Iterator[Forge]:
    """A running forge. The test fails when anything it was asked or answered breaks GitHub's description."""
    with Forge(contract) as running:
        yield running
    assert running.violations == []
