"""What is asked of data, as functions from rows to complaints; no complaint means good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import yaml
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from << cookiecutter.package_name >>.columns import Column
from << cookiecutter.package_name >>.params import Params
from << cookiecutter.package_name >>.table import ID, TARGET, Table

EXPECTATIONS = Path(__file__).parent / "data" / "expectations.yaml"
# A single column that ranks the target better than this is more likely a copy of it than a cause.
LEAK = 0.995
DTYPES = {"number": float, "integer": float, "boolean": float, "category": object, "datetime": "datetime64[us]"}


@dataclass(frozen=True)
class Data:
    """The typed table, and the train and test rows that were made of it."""

    rows: pd.DataFrame
    columns: list[Column]
    train: pd.DataFrame
    test: pd.DataFrame
    settings: Params

    @classmethod
    def of(cls, table: Table, parts: tuple[pd.DataFrame, pd.DataFrame], settings: Params) -> Data:
        return cls(table.rows, table.columns, *parts, settings)

    def features(self) -> list[Column]:
        left_out = {self.settings.data.time_column, *self.settings.data.drop}
        return [column for column in self.columns if column.name not in left_out]


def load_expectations() -> dict[str, Any] | None:
    return yaml.safe_load(EXPECTATIONS.read_text(encoding="utf-8")) if EXPECTATIONS.is_file() else None


def schema(expected: dict[str, Any]) -> pa.DataFrameSchema:
    columns = {}
    for name, about in expected["columns"].items():
        checks = []
        if "minimum" in about:
            checks.append(pa.Check.in_range(about["minimum"], about["maximum"]))
        if "categories" in about:
            checks.append(pa.Check.isin(about["categories"]))
        columns[name] = pa.Column(DTYPES[about["type"]], checks, nullable="most_missing" in about)
    return pa.DataFrameSchema(columns)


def of_schema(data: Data, expected: dict[str, Any]) -> list[str]:
    """Columns, types, ranges, categories and gaps."""
    found = []
    try:
        schema(expected).validate(data.rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        cases["column"] = cases["column"].fillna(cases["failure_case"])  # a column that is not there has no cases
        counts = cases.groupby(["column", "check"]).size()
        found = [f"column {column}: {check} ({count} cases)" for (column, check), count in counts.items()]
    types = {column.name: column.type for column in data.columns}
    for name, about in expected["columns"].items():
        if name not in types:
            continue
        # A column of measures may happen to hold whole numbers only.
        if types[name] != about["type"] and {types[name], about["type"]} != {"integer", "number"}:
            found.append(f"column {name}: is of type {types[name]}, not {about['type']}")
        missing = data.rows[name].isna().mean()
        if missing > about.get("most_missing", 0):
            found.append(f"column {name}: {missing:.1%} of the values are missing")
    return found


def of_size(data: Data, expected: dict[str, Any]) -> list[str]:
    return [] if len(data.rows) >= expected["least_rows"] else [f"{len(data.rows)} rows, not {expected['least_rows']}"]


def of_duplicate_rows(data: Data, expected: dict[str, Any]) -> list[str]:
    share = data.rows.drop(columns=ID).duplicated().mean()
    return [f"{share:.1%} of the rows repeat another"] if share > expected["most_duplicate_rows"] else []


def of_class_balance(data: Data, expected: dict[str, Any]) -> list[str]:
    shares = data.rows[TARGET].value_counts(normalize=True)
    least = expected.get("least_class_shares", {})
    unknown = [f"class {label} is not expected" for label in shares.index if least and label not in least]
    rare = [f"class {label}: {shares.get(label, 0):.1%}" for label in least if shares.get(label, 0) < least[label]]
    return unknown + rare


def of_ids(data: Data, _: dict[str, Any]) -> list[str]:
    repeated = data.rows[ID].duplicated().sum()
    return [f"{repeated} ids are repeated"] if repeated else []


def of_overlap(data: Data, _: dict[str, Any]) -> list[str]:
    """Rows that are in both parts, by id or by all of their features."""
    shared = set(data.train[ID]) & set(data.test[ID])
    names = [column.name for column in data.features()]
    seen = set(pd.util.hash_pandas_object(data.train[names].astype(str), index=False))
    # Few columns of few values repeat by chance, so only rows that are rare in the train rows tell.
    again = pd.util.hash_pandas_object(data.test[names].astype(str), index=False).isin(seen).mean()
    usual = data.train[names].duplicated().mean()
    found = [f"{len(shared)} ids are in both parts"] if shared else []
    return [*found, f"{again:.1%} of the test rows are also train rows"] if again > 0.01 + 2 * usual else found


def of_leakage(data: Data, _: dict[str, Any]) -> list[str]:
    found = []
    for column in data.features():
        values = data.rows[column.name]
        if column.type == "category":
            # A column of nearly as many values as rows tells each row apart, and so says nothing here.
            if values.nunique() > len(values) / 5:
                continue
            strength = _told_by_groups(values.fillna("(missing)"), data.rows[TARGET])
        else:
            strength = _told_by_order(values, data.rows[TARGET])
        if strength > LEAK:
            found.append(f"column {column.name} alone gives away the target ({strength:.3f})")
    return found


def _told_by_order(values: pd.Series, target: pd.Series) -> float:
    numbers = pd.to_numeric(values.astype("int64") if str(values.dtype).startswith("datetime") else values)
    numbers = numbers.fillna(numbers.median())
    if numbers.nunique() < 2:
        return 0.0
    if target.dtype != object:
        return abs(float(spearmanr(numbers, target).statistic))
    areas = [roc_auc_score(target == label, numbers) for label in target.unique()]
    return float(np.mean([max(area, 1 - area) for area in areas]))


def _told_by_groups(values: pd.Series, target: pd.Series) -> float:
    """The share of right answers when each group answers with its most frequent class, or R2 of the group means."""
    if target.dtype != object:
        means = target.groupby(values).transform("mean")
        return float(1 - ((target - means) ** 2).sum() / ((target - target.mean()) ** 2).sum())
    right = float(pd.crosstab(values, target).max(axis=1).sum() / len(target))
    usual = float(target.value_counts(normalize=True).iloc[0])
    return right if usual < LEAK else 0.0  # with a very rare class, always saying the other one is nearly always right


Check = Callable[[Data, dict[str, Any]], list[str]]
OF_EXPECTATIONS: tuple[Check, ...] = (of_schema, of_size, of_duplicate_rows, of_class_balance)
OF_ANY_DATA: tuple[Check, ...] = (of_ids, of_overlap, of_leakage)
