"""`reports/model-card.md`: what the model is, what it was measured on, and what it must not be used for."""

from __future__ import annotations

from typing import Any

import pandas as pd

from . import metrics
from .contract import Contract
from .params import Params

MOST_ROWS = 15
FEW_ROWS = 30


def render(
    params: Params,
    contract: Contract,
    predictions: pd.DataFrame,
    measured: dict[str, float],
    influence: list[tuple[str, float, float]],
    record: dict[str, Any],
    train_rows: int,
) -> str:
    """The whole card as Markdown; numbers come from the arguments, sentences about use are left to fill in."""
    sections = [
        f"# Model card: {contract.model_name}",
        _summary(params, contract, record),
        "## Intended use\n\nTo fill in: who uses the predictions, for which decision, and whom a wrong one affects.\n\n"
        "Not intended: any use on people, places or times unlike the rows described below.",
        "## Data and split\n\n" + _data(params, contract, predictions, train_rows),
        "## Metrics\n\nOn the test rows, which the model did not see.\n\n"
        + _table(["metric", "value"], [[name, f"{value:.4f}"] for name, value in measured.items()]),
        "## Slices\n\n" + _slices(predictions, contract),
        "## What the model leans on\n\n" + _influence(contract, influence),
        "## Limits\n\n" + _limits(predictions),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(params: Params, contract: Contract, record: dict[str, Any]) -> str:
    asked = f"Predicts `{_safe(contract.target)}`"
    if contract.classes:
        asked += f" ({', '.join(_safe(label) for label in contract.classes)})"
    if contract.positive_class is not None:
        asked += f"; the positive class is {_safe(contract.positive_class)}"
    options = ", ".join(f"{key}={value}" for key, value in params.model.params.items()) or "its own defaults"
    rows = [
        ["estimator", f"`{params.model.estimator}` with {_safe(options)}"],
        ["commit", str(record["commit"])],
        ["model hash", record["model_hash"]],
        ["data hash", record["data_hash"]],
        ["MLflow run", str(record["mlflow_run_id"])],
        ["Python, scikit-learn", f"{record['python']}, {record['packages']['scikit-learn']}"],
    ]
    return f"{asked}.\n\n" + _table(["", ""], rows)


def _data(params: Params, contract: Contract, predictions: pd.DataFrame, train_rows: int) -> str:
    how = "at random by the hash of the id" + (", within each class" if contract.classes else "")
    if params.data.time_column is not None:
        how = f"by time (`{_safe(params.data.time_column)}`), the latest rows"
    nullable = sum(feature.nullable for feature in contract.features)
    lines = [
        f"- `{params.data.path.as_posix()}`: {train_rows} rows to train, {len(predictions)} to test, chosen {how}.",
        f"- {len(contract.features)} features, {nullable} of them with missing values in training.",
    ]
    if contract.classes:
        shares = predictions["y_true"].value_counts(normalize=True)
        listed = ", ".join(f"{_safe(label)} {shares.get(label, 0):.1%}" for label in contract.classes)
        lines.append(f"- Classes among the test rows: {listed}.")
    else:
        truth = predictions["y_true"]
        span = f"{truth.min():g} to {truth.max():g}, median {truth.median():g}"
        lines.append(f"- `{_safe(contract.target)}` among the test rows: {span}.")
    return "\n".join(lines)


def _slices(predictions: pd.DataFrame, contract: Contract) -> str:
    found = metrics.by_slice(predictions, contract)
    if not found:
        return "None: `data.slices` in `params.yaml` names the columns by which the metrics are split."
    names = list(dict.fromkeys(name for *_, measured in found for name in measured))
    rows = []
    for column, value, size, measured in found[: MOST_ROWS * 2]:
        few = " (few)" if size < FEW_ROWS else ""
        numbers = [f"{measured[name]:.3f}" if name in measured else "" for name in names]
        rows.append([_safe(column), _safe(value), f"{size}{few}", *numbers])
    return _table(["column", "value", "rows", *names], rows)


def _influence(contract: Contract, influence: list[tuple[str, float, float]]) -> str:
    unit = "log loss" if contract.task == "classification" else "mean absolute error"
    rows = [[_safe(name), f"{mean:+.4f}", f"{deviation:.4f}"] for name, mean, deviation in influence[:MOST_ROWS]]
    return (
        f"Permutation importance: how much the {unit} rises when one column of the test rows is shuffled. Columns that"
        " say the same share their weight, and none of this is a cause.\n\n"
        + _table(["column", "rise", "standard deviation"], rows)
    )


def _limits(predictions: pd.DataFrame) -> str:
    lines = [
        f"- Measured on {len(predictions)} rows; a difference smaller than chance explains is not a difference.",
        "- Values outside the ranges in `model/contract.json` are extrapolation.",
        "- A category not seen in training is treated as a rare one.",
        "- To fill in: how the rows were collected, whom they leave out, and when the model must be trained again.",
    ]
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def _safe(text: str) -> str:
    """Text of the data file that cannot break a Markdown table or become markup."""
    plain = " ".join(text.split())[:80]
    return "".join("\\" + letter if letter in "\\`*_{}[]<>|#!" else letter for letter in plain).replace("<", "&lt;")
