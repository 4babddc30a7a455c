"""What every suite shares: the project's own parameters, data and split."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from << cookiecutter.package_name >> import params, split, table
from << cookiecutter.package_name >>.params import Params
from << cookiecutter.package_name >>.table import Table

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def in_project() -> Iterator[None]:
    """Paths in params.yaml are relative to the project."""
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def settings() -> Params:
    return params.load()


@pytest.fixture(scope="session")
def whole(settings: Params) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `make data` shows them
        return table.load(settings)


@pytest.fixture(scope="session")
def parts(whole: Table, settings: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train rows and test rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return split.split(whole.rows, settings)
