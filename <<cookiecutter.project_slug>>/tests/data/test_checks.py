"""The data tests turn red: each check is shown a copy of the data in which one thing is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import checks
import examples
from << cookiecutter.package_name >> import columns, split, table
from << cookiecutter.package_name >>.table import ID, TARGET

EXPECTED: dict[str, Any] = {
    "least_rows": 100,
    "most_duplicate_rows": 0.01,
    "least_class_shares": {"No": 0.2, "Yes": 0.2},
    "columns": {
        "size": {"type": "number", "minimum": 0, "maximum": 120, "most_missing": 0.2},
        "visits": {"type": "integer", "minimum": 0, "maximum": 10},
        "city": {"type": "category", "categories": ["Aachen", "Bonn", "Celle"], "most_missing": 0.1},
        "member": {"type": "boolean"},
        "since": {"type": "datetime"},
    },
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> checks.Data:
    path = examples.written(examples.mixed(160), tmp_path_factory.mktemp("data") / "rows.csv")
    settings = examples.settings(path)
    loaded = table.load(settings)
    return checks.Data.of(loaded, split.split(loaded.rows, settings), settings)


@pytest.mark.parametrize("check", [*checks.OF_EXPECTATIONS, *checks.OF_ANY_DATA], ids=lambda check: check.__name__)
def test_good_data_pass(check: checks.Check, good: checks.Data) -> None:
    assert check(good, EXPECTED) == []


def with_rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[checks.Data], checks.Data]:
    """Change the rows, and find the columns' types anew."""

    def corrupt(data: checks.Data) -> checks.Data:
        rows = change(data.rows.copy()).reset_index(drop=True)
        known = {column.name: column for column in data.columns}
        found = []
        for name in rows.columns.drop([ID, TARGET]):
            if rows[name].dtype == object or name not in known:
                known[name], rows[name] = columns.infer(name, rows[name], "rows")
            found.append(known[name])
        return replace(data, rows=rows, columns=found)

    return corrupt


def put(column: str, value: object, count: int = 1) -> Callable[[checks.Data], checks.Data]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        values = list(rows[column])
        values[:count] = [value] * count
        return rows.assign(**{column: pd.Series(values, dtype=object if isinstance(value, str) else None)})

    return with_rows(change)


CORRUPTIONS = {
    "a number out of range": (checks.of_schema, put("size", 999.0), "size"),
    "a negative count": (checks.of_schema, put("visits", -1.0), "visits"),
    "a gap where none may be": (checks.of_schema, put("visits", np.nan), "visits"),
    "too many gaps": (checks.of_schema, put("size", np.nan, 100), "size"),
    "an unknown category": (checks.of_schema, put("city", "Dresden"), "city"),
    "words among numbers": (checks.of_schema, put("size", "large", 100), "size"),
    "a column gone": (checks.of_schema, with_rows(lambda rows: rows.drop(columns="city")), "city"),
    "rows gone": (checks.of_size, with_rows(lambda rows: rows.head(50)), "50 rows"),
    "rows twice": (checks.of_duplicate_rows, with_rows(lambda rows: pd.concat([rows, rows.head(9)])), "repeat"),
    "ids twice": (checks.of_ids, with_rows(lambda rows: pd.concat([rows, rows.head(9)])), "9 ids"),
    "a class nearly gone": (checks.of_class_balance, put(TARGET, "No", 150), "class Yes"),
    "a new class": (checks.of_class_balance, put(TARGET, "Maybe", 2), "class Maybe"),
    "a copy of the target": (
        checks.of_leakage,
        with_rows(lambda rows: rows.assign(copy=rows[TARGET].map({"No": "off", "Yes": "on"}))),
        "column copy",
    ),
    "a number that follows the target": (
        checks.of_leakage,
        with_rows(lambda rows: rows.assign(score=(rows[TARGET] == "Yes") + rows["visits"] / 100)),
        "column score",
    ),
    "test rows among train rows": (
        checks.of_overlap,
        lambda data: replace(data, train=pd.concat([data.train, data.test.head(5)])),
        "5 ids are in both",
    ),
    "test rows among train rows with new ids": (
        checks.of_overlap,
        lambda data: replace(data, train=pd.concat([data.train, data.test.head(9).assign(**{ID: list("abcdefghi")})])),
        "are also train rows",
    ),
}


@pytest.mark.parametrize(("check", "corrupt", "said"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
@pytest.mark.filterwarnings("ignore::<< cookiecutter.package_name >>.errors.DataWarning")
def test_broken_data_are_found(
    check: checks.Check, corrupt: Callable[[checks.Data], checks.Data], said: str, good: checks.Data
) -> None:
    found = check(corrupt(good), EXPECTED)
    assert any(said in complaint for complaint in found), found
