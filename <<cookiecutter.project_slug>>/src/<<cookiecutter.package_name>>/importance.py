"""Which columns the model leans on: how much worse it gets when one column is shuffled."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.inspection import permutation_importance

from .contract import Contract
from .table import TARGET

ROWS = 1000
REPEATS = 5


def permutation(model: Any, contract: Contract, rows: pd.DataFrame, seed: int) -> list[tuple[str, float, float]]:
    """(column, mean loss, standard deviation), the largest first.

    The loss is in log loss (classification) or mean absolute error (regression), on at most 1,000 test rows.
    """
    chosen = rows.head(ROWS)
    classification = contract.task == "classification"
    if classification and set(chosen[TARGET]) != set(contract.classes):
        scoring = "accuracy"  # log loss needs every class among the rows
    else:
        scoring = "neg_log_loss" if classification else "neg_mean_absolute_error"
    ready = contract.conform(chosen)
    result = permutation_importance(model, ready, chosen[TARGET], scoring=scoring, n_repeats=REPEATS, random_state=seed)
    found = zip(ready.columns, result.importances_mean, result.importances_std, strict=True)
    return sorted(((str(name), float(mean), float(deviation)) for name, mean, deviation in found), key=lambda row: -row[1])
