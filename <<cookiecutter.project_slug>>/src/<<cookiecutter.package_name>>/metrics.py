"""Numbers that say how good predictions are, computed from the predictions alone."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from sklearn import metrics as measures

from .contract import Contract
from .errors import UserError
from .predictions import scores


def of(predictions: pd.DataFrame, contract: Contract) -> dict[str, float]:
    """Metrics of an evaluation set, by name.

    With two classes, f1, precision, recall, roc_auc and average_precision are those of the positive class; with more,
    the unweighted mean over the classes that occur. `brier` is the mean squared error of the probabilities: of the
    positive class with two classes, summed over the classes with more.

    Raises:
        UserError: a metric is not a finite number.
    """
    found = _classification(predictions, contract) if contract.task == "classification" else _regression(predictions)
    for name, value in found.items():
        if not math.isfinite(value):
            raise UserError(
                f"{name} of {len(predictions)} evaluation rows is {value}; the model or the split is broken"
            )
    return {name: float(value) for name, value in found.items()}


def _regression(predictions: pd.DataFrame) -> dict[str, float]:
    truth, predicted = predictions["y_true"], predictions["y_pred"]
    return {
        "mae": measures.mean_absolute_error(truth, predicted),
        "rmse": measures.root_mean_squared_error(truth, predicted),
        "r2": measures.r2_score(truth, predicted),
    }


def _classification(predictions: pd.DataFrame, contract: Contract) -> dict[str, float]:
    truth, predicted = predictions["y_true"], predictions["y_pred"]
    classes, positive = contract.classes, contract.positive_class
    probabilities = scores(predictions, contract)
    hits = np.column_stack([np.asarray(truth == label, dtype=float) for label in classes])
    if positive is not None:
        which = {"average": "binary", "pos_label": positive, "zero_division": 0.0}
        places = [classes.index(positive)]
        brier = float(np.mean((hits[:, places[0]] - probabilities[:, places[0]]) ** 2))
    else:
        which = {"average": "macro", "zero_division": 0.0}
        places = [place for place in range(len(classes)) if 0 < hits[:, place].sum() < len(hits)]
        brier = float(np.mean(((hits - probabilities) ** 2).sum(axis=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is absent or never predicted is counted as zero on purpose
        return {
            "accuracy": measures.accuracy_score(truth, predicted),
            "balanced_accuracy": measures.balanced_accuracy_score(truth, predicted),
            "f1": measures.f1_score(truth, predicted, **which),
            "precision": measures.precision_score(truth, predicted, **which),
            "recall": measures.recall_score(truth, predicted, **which),
            "roc_auc": float(np.mean([measures.roc_auc_score(hits[:, i], probabilities[:, i]) for i in places])),
            "average_precision": float(
                np.mean([measures.average_precision_score(hits[:, i], probabilities[:, i]) for i in places])
            ),
            "log_loss": measures.log_loss(truth, probabilities, labels=classes),
            "brier": brier,
        }


def by_slice(predictions: pd.DataFrame, contract: Contract) -> list[tuple[str, str, int, dict[str, float]]]:
    """(column, value, rows, metrics) of every slice; metrics that need two classes are left out where there is one."""
    found = []
    for column in contract.slice_columns:
        for value, rows in predictions.groupby(column, sort=True, dropna=False):
            found.append((column, str(value), len(rows), _slice_metrics(rows, contract)))
    return found


def _slice_metrics(rows: pd.DataFrame, contract: Contract) -> dict[str, float]:
    if contract.task == "regression":
        return {name: value for name, value in _regression(rows).items() if name != "r2"}
    if rows["y_true"].nunique() < 2:
        return {"accuracy": float((rows["y_true"] == rows["y_pred"]).mean())}
    names = ("accuracy", "f1", "roc_auc", "log_loss")
    all_of_them = _classification(rows, contract)
    return {name: float(all_of_them[name]) for name in names}
