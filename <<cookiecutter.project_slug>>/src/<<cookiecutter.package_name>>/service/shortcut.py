"""The encoding of `features.pipeline` in plain numpy, for requests of few rows.

A request of one row spends nearly all of its time in data frames. The encoding of a number is arithmetic and that of a
category is a look-up, so both are read off the fitted steps once. A step that is not known here is called as it is. The
caller proves the result against the pipeline before using it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .. import columns
from ..contract import Contract

# Rows by column; every column of the contract, of equal length.
Rows = dict[str, Sequence[Any]]
Block = Callable[[Rows], np.ndarray]

_UNSEEN = "\0 never seen"


def of(pipeline: Any, contract: Contract) -> Block | None:
    """A function from rows to the matrix that the last step takes, or None when the pipeline is of another kind."""
    if not isinstance(pipeline, Pipeline) or len(pipeline) != 2 or not isinstance(pipeline[0], ColumnTransformer):
        return None
    kinds = {feature.name: feature.type for feature in contract.features}
    blocks: list[Block] = []
    for _, step, names in pipeline[0].transformers_:
        if isinstance(step, str) or isinstance(names, str):
            return None
        block = _numbers(step, names) or _words(step, names) or _frame(step, names, kinds)
        blocks.append(block)

    def encode(rows: Rows) -> np.ndarray:
        return np.hstack([block(rows) for block in blocks])

    return encode


def _numbers(step: Any, names: list[str]) -> Block | None:
    """Imputation of numbers or flags, and scaling where there is some."""
    imputer, scaler = (step[0], step[1]) if isinstance(step, Pipeline) and len(step) == 2 else (step, None)
    if not isinstance(imputer, SimpleImputer) or not isinstance(scaler, StandardScaler | None):
        return None
    fill = np.asarray(imputer.statistics_)
    if fill.dtype.kind != "f" or np.isnan(fill).any():
        return None
    flagged = imputer.indicator_.features_ if imputer.add_indicator else []
    mean, scale = (scaler.mean_, scaler.scale_) if scaler is not None else (0.0, 1.0)

    def block(rows: Rows) -> np.ndarray:
        given = np.array([rows[name] for name in names], dtype=float).T
        missing = np.isnan(given)
        filled = np.where(missing, fill, given)
        if len(flagged):
            filled = np.hstack([filled, missing[:, flagged]])
        return (filled - mean) / scale

    return block


def _words(step: Any, names: list[str]) -> Block | None:
    """One-hot encoding as a table from each category, and from any other text, to its columns."""
    if not (isinstance(step, Pipeline) and isinstance(step[-1], OneHotEncoder) and isinstance(step[0], SimpleImputer)):
        return None
    known = [[str(value) for value in values] for values in step[-1].categories_]
    widest = max(map(len, known)) + 2
    asked = pd.DataFrame(
        {name: ([*values, None] + [_UNSEEN] * widest)[:widest] for name, values in zip(names, known, strict=True)},
        dtype=object,
    )
    encoded = np.asarray(step.transform(asked))
    varies = _columns_of(step, names)
    if sum(map(len, varies)) != encoded.shape[1]:
        return None
    tables = []
    for values, places in zip(known, varies, strict=True):
        table = {value: encoded[row, places] for row, value in enumerate([*values, None])}
        tables.append((table, encoded[len(values) + 1, places]))

    def block(rows: Rows) -> np.ndarray:
        parts = []
        for name, (table, other) in zip(names, tables, strict=True):
            texts = [None if value is None else value.strip() for value in rows[name]]
            texts = [None if text is None or text.lower() in columns.MISSING else text for text in texts]
            parts.append(np.array([table.get(text, other) for text in texts]).reshape(len(texts), -1))
        return np.hstack(parts)

    return block


def _columns_of(step: Any, names: list[str]) -> list[list[int]]:
    """Which encoded columns come from which input column, by the names the encoder gives them."""
    given = step[-1].get_feature_names_out([str(place) for place in range(len(names))])
    widths = [sum(name.startswith(f"{place}_") for name in given) for place in range(len(names))]
    starts = np.concatenate([[0], np.cumsum(widths)])
    return [list(range(starts[place], starts[place + 1])) for place in range(len(names))]


def _frame(step: Any, names: list[str], kinds: dict[str, columns.Type]) -> Block:
    def block(rows: Rows) -> np.ndarray:
        typed = {name: columns.to_type(pd.Series(list(rows[name]), dtype=object), kinds[name]) for name in names}
        return np.asarray(step.transform(pd.DataFrame(typed)), dtype=float)

    return block
