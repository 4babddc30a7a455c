"""`predictions.parquet`: one row per evaluated example, with its truth, what the model says, and its slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from . import columns
from .contract import Contract
from .errors import UserError
from .table import ID, TARGET

# A numeric slice column with more values than this is cut into quarters.
MOST_SLICES = 12


def predict(model: Any, contract: Contract, rows: pd.DataFrame, source: str = "the rows") -> pd.DataFrame:
    """Predict for features: `y_pred`, and `y_score` (two classes) or `y_score_<class>` (more)."""
    ready = contract.conform(rows, source)
    if contract.task == "regression":
        return pd.DataFrame({"y_pred": np.asarray(model.predict(ready), dtype=float)}, index=rows.index)
    order = [list(model.classes_).index(label) for label in contract.classes]
    probabilities = model.predict_proba(ready)[:, order]
    predicted = np.asarray(contract.classes, dtype=object)[probabilities.argmax(axis=1)]
    named = {column: probabilities[:, contract.classes.index(label)] for column, label in contract.scored.items()}
    return pd.DataFrame({"y_pred": predicted, **named}, index=rows.index)


def evaluate(model: Any, contract: Contract, rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """Predict for test rows, sorted by id, with truth and slice columns beside the predictions.

    Raises:
        UserError: the rows do not meet the contract, or hold a class that the model does not know.
    """
    if contract.task == "classification":
        unknown = sorted(set(rows[TARGET].astype(str)) - set(contract.classes))
        if unknown:
            known = ", ".join(contract.classes)
            raise UserError(f"{source}: the class {unknown[0]!r} is not known to {contract.model_name} ({known})")
    predicted = predict(model, contract, rows, source)
    predicted.insert(0, "id", rows[ID].astype(str))
    predicted.insert(1, "y_true", rows[TARGET])
    for column in contract.slice_columns:
        if column in rows.columns:
            predicted[column] = slice_labels(rows[column])
    return predicted.sort_values("id", kind="stable").reset_index(drop=True)


def slice_labels(values: pd.Series) -> pd.Series:
    """The value of a slice column as text; numbers of many values become quarters such as `20 to 38`."""
    if values.dtype == object or not pd.api.types.is_numeric_dtype(values.dtype) or values.nunique() <= MOST_SLICES:
        labels = columns.as_text(values)
    else:
        quarters = pd.qcut(values, 4, duplicates="drop")
        spans = values.groupby(quarters, observed=True).agg(["min", "max"])
        named = {quarter: f"{low:g} to {high:g}" for quarter, low, high in spans.itertuples()}
        labels = pd.Series([named.get(quarter) for quarter in quarters], values.index, dtype=object)
    return labels.where(labels.notna(), "(missing)")


def scores(predictions: pd.DataFrame, contract: Contract) -> np.ndarray:
    """Probabilities, shape (rows, classes), in the order of `contract.classes`."""
    if contract.positive_class is None:
        return predictions[list(contract.scored)].to_numpy(dtype=float)
    positive = predictions["y_score"].to_numpy(dtype=float)
    pair = {True: positive, False: 1 - positive}
    return np.column_stack([pair[label == contract.positive_class] for label in contract.classes])
