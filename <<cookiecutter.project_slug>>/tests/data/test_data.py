"""The data as they are, held to `expectations.yaml` and to what holds for any data."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import checks
from << cookiecutter.package_name >>.params import Params
from << cookiecutter.package_name >>.table import ID, TARGET, Table

Parts = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def data(whole: Table, parts: Parts, settings: Params) -> checks.Data:
    return checks.Data.of(whole, parts, settings)


@pytest.fixture(scope="module")
def expected(settings: Params) -> dict[str, Any]:
    found = checks.load_expectations()
    path = settings.data.path.as_posix()
    if found is None or found["path"] != path:
        pytest.skip(f"tests/data/expectations.yaml is not about {path}; write it with `make describe` and read it")
    return found


@pytest.mark.parametrize("check", checks.OF_EXPECTATIONS, ids=lambda check: check.__name__)
def test_the_data_meet_the_expectations(check: checks.Check, data: checks.Data, expected: dict[str, Any]) -> None:
    assert check(data, expected) == []


@pytest.mark.parametrize("check", checks.OF_ANY_DATA, ids=lambda check: check.__name__)
def test_the_data_can_be_learnt_from(check: checks.Check, data: checks.Data) -> None:
    assert check(data, {}) == []


def test_no_row_is_lost_by_the_split(data: checks.Data) -> None:
    assert sorted([*data.train[ID], *data.test[ID]]) == sorted(data.rows[ID])


def test_the_parts_have_the_same_target(data: checks.Data) -> None:
    if data.settings.data.time_column is not None:
        pytest.skip("the split is by time, so the target may have moved")
    if data.settings.task == "regression":
        spread = data.rows[TARGET].std()
        # Three standard errors of the difference of two means.
        limit = 3 * spread * (1 / len(data.train) + 1 / len(data.test)) ** 0.5
        assert abs(data.train[TARGET].mean() - data.test[TARGET].mean()) < limit
    else:
        shares = [part[TARGET].value_counts(normalize=True) for part in (data.train, data.test)]
        assert shares[0].sub(shares[1], fill_value=0).abs().max() < 0.05
