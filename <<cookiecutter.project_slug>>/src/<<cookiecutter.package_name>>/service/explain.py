"""Why this answer: a baseline plus one contribution per column that add up to what the model said.

Both methods compare the row with a background of training rows. They give Shapley values of the game "columns of the
row in place are known, the others come from the background" (Strumbelj and Kononenko 2014):

- *exact* where the output is a sum of one function per column, as of linear models over columns that are encoded one
  by one: a column's contribution is the mean change when its value takes the place of a background row's.
- *sampled* otherwise: columns are put in place in random orders (each order also reversed), starting from random
  background rows. The sum is exact for the drawn background; each contribution is an estimate, and its standard error
  is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .model import Model

BACKGROUND_ROWS = 100
ORDERS = 64
SEED = 0
# Relative to the size of the outputs; sums of rounded numbers stay far below, real interactions far above.
ADDITIVE = 1e-9


@dataclass(frozen=True)
class Explanation:
    """`value` = `baseline` + sum of `contributions`, in `unit` of `output`."""

    method: str
    unit: str
    output: str
    baseline: float
    value: float
    contributions: dict[str, float]
    standard_errors: dict[str, float] | None = None


def explain(model: Model, row: pd.DataFrame) -> Explanation:
    """Explain one typed row, as `Contract.conform` gives it.

    Raises:
        ValueError: there are no background rows, because `reference.parquet` is not beside the model.
    """
    if model.reference.empty:
        raise ValueError("reference.parquet is not beside the model; explanations compare with its rows")
    background = model.reference.iloc[:BACKGROUND_ROWS].reset_index(drop=True)
    of, unit, output = _output(model, row)
    names = [feature.name for feature in model.contract.features]
    value = float(of(row)[0])
    exact = _one_by_one(of, row, background, names, value)
    baseline = float(of(background).mean())
    size = max(1.0, abs(value), abs(baseline), float(np.abs(exact).max()))
    if hasattr(model.pipeline[-1], "coef_") and abs(value - baseline - exact.sum()) <= ADDITIVE * size:
        return Explanation("exact", unit, output, baseline, value, dict(zip(names, map(float, exact), strict=True)))
    drawn, mean, error = _in_orders(of, row, background, names)
    contributions = dict(zip(names, map(float, mean), strict=True))
    return Explanation(
        "sampled", unit, output, drawn, value, contributions, dict(zip(names, map(float, error), strict=True))
    )


def _output(model: Model, row: pd.DataFrame) -> tuple[Callable[[pd.DataFrame], np.ndarray], str, str]:
    """The one number per row that is explained: log-odds of a linear classifier, a probability, or the prediction."""
    contract = model.contract
    if contract.task == "regression":
        return (lambda rows: model.answer_frame(rows).values), contract.target, contract.target
    label = contract.positive_class or str(model.answer_frame(row).values[0])
    place = list(model.pipeline.classes_).index(label)
    linear = hasattr(model.pipeline[-1], "coef_") and hasattr(model.pipeline, "decision_function")
    if not linear:
        mine = contract.classes.index(label)

        def probability(rows: pd.DataFrame) -> np.ndarray:
            shares = model.answer_frame(rows).probabilities
            if shares is None:
                raise TypeError("a classifier without probabilities")
            return shares[:, mine]

        return probability, "probability", label

    def margin(rows: pd.DataFrame) -> np.ndarray:
        scores = np.asarray(model.pipeline.decision_function(rows), dtype=float)
        if scores.ndim == 1:
            return scores if place == 1 else -scores
        return scores[:, place]

    return margin, "log-odds" if len(contract.classes) == 2 else "score", label


def _mixed(row: pd.DataFrame, background: pd.DataFrame, taken: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Background rows in which the columns that `taken` (rows, columns) marks hold the row's value."""
    mixed = {}
    for place, name in enumerate(names):
        values = background[name].array.copy()
        values[taken[:, place]] = row[name].iloc[0]
        mixed[name] = pd.Series(values, dtype=values.dtype)  # or pandas would guess another type for text
    return pd.DataFrame(mixed)


def _one_by_one(
    of: Callable[[pd.DataFrame], np.ndarray],
    row: pd.DataFrame,
    background: pd.DataFrame,
    names: list[str],
    value: float,
) -> np.ndarray:
    """The mean change of the output when one column at a time takes a background value, shape (columns,)."""
    count, width = len(background), len(names)
    taken = np.ones((width * count, width), dtype=bool)
    for place in range(width):
        taken[place * count : (place + 1) * count, place] = False
    many = background.iloc[np.tile(np.arange(count), width)].reset_index(drop=True)
    changed = of(_mixed(row, many, taken, names)).reshape(width, count)
    return value - changed.mean(axis=1)


def _in_orders(
    of: Callable[[pd.DataFrame], np.ndarray], row: pd.DataFrame, background: pd.DataFrame, names: list[str]
) -> tuple[float, np.ndarray, np.ndarray]:
    """Baseline, mean contribution and its standard error over random orders of the columns."""
    generator, width = np.random.default_rng(SEED), len(names)
    orders, starts = [], []
    for _ in range(ORDERS // 2):
        order, start = generator.permutation(width), int(generator.integers(len(background)))
        orders += [order, order[::-1]]
        starts += [start, start]
    taken = np.zeros((len(orders), width + 1, width), dtype=bool)
    for path, order in enumerate(orders):
        for step, place in enumerate(order, start=1):
            taken[path, step:, place] = True
    many = background.iloc[np.repeat(starts, width + 1)].reset_index(drop=True)
    outputs = of(_mixed(row, many, taken.reshape(-1, width), names)).reshape(len(orders), width + 1)
    gains = np.empty((len(orders), width))
    for path, order in enumerate(orders):
        gains[path, order] = np.diff(outputs[path])
    pairs = gains.reshape(-1, 2, width).mean(axis=1)  # the two of a pair are not independent
    return float(outputs[:, 0].mean()), gains.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
