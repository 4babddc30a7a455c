"""What each column of a table is: its type, and how text becomes values of that type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from .errors import warn

Type = Literal["number", "integer", "boolean", "category", "datetime"]

MISSING = frozenset({"", "na", "n/a", "nan", "null", "#n/a", "<na>"})
# A column is a number when nearly all of its values are; the rest becomes missing, with a warning.
NUMERIC_SHARE = 0.95
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")


@dataclass(frozen=True)
class Column:
    name: str
    type: Type


def infer(name: str, values: pd.Series, source: str) -> tuple[Column, pd.Series]:
    """Find the type of one column, and its values in that type.

    Numbers and integers come back as float64, booleans as 1.0 and 0.0, categories as text, datetimes without a zone;
    a missing value is NaN, None or NaT.
    """
    if types.is_bool_dtype(values.dtype):
        return Column(name, "boolean"), to_type(values, "boolean")
    if types.is_datetime64_any_dtype(values.dtype):
        return Column(name, "datetime"), to_type(values, "datetime")
    if types.is_numeric_dtype(values.dtype):
        return _number(name, values, source)
    return _from_text(name, as_text(values), source)


def as_text(values: pd.Series) -> pd.Series:
    """Stripped text as objects; None where the value is missing, blank or a word for missing."""
    # A list keeps None; pandas would turn a mapped series into its own text type.
    found = [None if missing else _text(value) for value, missing in zip(values, values.isna(), strict=True)]
    texts = [None if text is None or text.lower() in MISSING else text for text in found]
    return pd.Series(texts, values.index, dtype=object)


def present(values: pd.Series) -> pd.Series:
    """Which values are not missing; only text needs to be read for that, which is slow."""
    if types.is_numeric_dtype(values.dtype) or types.is_datetime64_any_dtype(values.dtype):
        return values.notna()
    return as_text(values).notna()


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _from_text(name: str, text: pd.Series, source: str) -> tuple[Column, pd.Series]:
    present = text.dropna()
    if present.empty:
        return Column(name, "category"), text
    if set(present.str.lower()) <= {"true", "false"}:
        return Column(name, "boolean"), to_type(text, "boolean")
    if present.map(lambda value: _DATE.fullmatch(value) is not None).all():
        dates = to_type(text, "datetime")
        if dates.notna().sum() == len(present):
            return Column(name, "datetime"), dates
    numbers = pd.to_numeric(present, errors="coerce")
    bad = present[numbers.isna()]
    if len(bad) > len(present) * (1 - NUMERIC_SHARE):
        return Column(name, "category"), text
    if len(bad):
        examples = ", ".join(repr(value) for value in bad.unique()[:3])
        warn(
            f"{source}: column {name!r}: {len(bad)} of {len(text)} values are no numbers ({examples}); taken as missing"
        )
    return _number(name, numbers.reindex(text.index), source)


def _number(name: str, values: pd.Series, source: str) -> tuple[Column, pd.Series]:
    numbers = to_type(values, "number")
    infinite = np.isinf(numbers)
    if infinite.any():
        warn(f"{source}: column {name!r}: {int(infinite.sum())} infinite values; taken as missing")
        numbers = numbers.mask(infinite)
    present = numbers.dropna()
    whole = bool(len(present)) and bool((present == present.round()).all())
    return Column(name, "integer" if whole else "number"), numbers


def to_type(values: pd.Series, kind: Type) -> pd.Series:
    """Values as the type that the model takes; what cannot be read becomes missing."""
    if kind == "category":
        return as_text(values)
    if kind == "datetime":
        dates = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
        return dates.dt.tz_localize(None).astype("datetime64[us]")
    if kind == "boolean":
        words = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
        flags = [np.nan if text is None else words.get(text.lower(), np.nan) for text in as_text(values)]
        return pd.Series(flags, values.index, dtype=float)
    if not types.is_numeric_dtype(values.dtype):
        values = as_text(values)
    return pd.to_numeric(values, errors="coerce").astype(float)
