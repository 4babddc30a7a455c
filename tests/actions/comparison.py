"""Reports folders for the tests of the comparison: small, seeded, with metrics that scikit-learn computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gitops_ml.report import Comparison, Metric, Report
from sklearn import metrics as sk

GATES = """\
schema: 1
primary: roc_auc
metrics:
  roc_auc: {direction: higher, floor: 0.80, max_drop: 0.01}
  log_loss: {direction: lower, ceiling: 0.90, max_rise_rel: 0.10}
slices: {columns: [site], min_rows: 30, max_drop: 0.10}
noise: {resamples: 400, confidence: 0.95, seed: 0}
on_missing_baseline: warn
waivers: []
"""


def classification(rows: int = 600, blur: float = 0.0, seed: int = 1, flip: int = 0) -> dict[str, np.ndarray]:
    """Columns of predictions: the same rows for the same `rows`; the model is worse with `blur`, another by `seed`."""
    world = np.random.default_rng(5)
    truth = world.random(rows) < 0.4
    signal = world.normal(size=rows) + 2.5 * truth - 1.2
    score = 1 / (1 + np.exp(-(signal + blur * np.random.default_rng(seed).normal(size=rows))))
    site = np.where(np.arange(rows) % 3 == 0, "north", "south")
    truth[:flip] = ~truth[:flip]
    return {
        "id": np.array([f"row {number}" for number in range(rows)]),
        "y_true": np.where(truth, "malignant", "benign"),
        "y_pred": np.where(score > 0.5, "malignant", "benign"),
        "y_score": score,
        "site": site,
    }


def metrics_of(columns: dict[str, np.ndarray]) -> dict[str, float]:
    truth = columns["y_true"] == "malignant"
    return {
        "roc_auc": float(sk.roc_auc_score(truth, columns["y_score"])),
        "log_loss": float(sk.log_loss(truth, columns["y_score"])),
        "accuracy": float(sk.accuracy_score(columns["y_true"], columns["y_pred"])),
        "fit_seconds": 1.5,
    }


def write_reports(
    folder: Path,
    columns: dict[str, np.ndarray] | None = None,
    metrics: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    suffix: str = ".parquet",
) -> Path:
    """Write a reports folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    found = metrics if metrics is not None else metrics_of(columns or classification())
    (folder / "metrics.json").write_text(json.dumps(found))
    identity = {
        "data_hash": "ab" * 32,
        "eval_hash": "cd" * 32,
        "seed": 1,
        "task": "classification",
        **(run or {}),
    }
    (folder / "run.json").write_text(json.dumps(identity))
    if columns is not None and suffix == ".parquet":
        pq.write_table(pa.table(columns), folder / "predictions.parquet")
    elif columns is not None:
        import pyarrow.csv

        pyarrow.csv.write_csv(pa.table(columns), folder / "predictions.csv")
    return folder


def comparison(report: Report, baseline: str = "merge base") -> Comparison:
    return next(part for part in report.comparisons if part.baseline == baseline)


def metric(report: Report, name: str, baseline: str = "merge base") -> Metric:
    return next(metric for metric in comparison(report, baseline).metrics if metric.name == name)


def outcomes(report: Report) -> dict[tuple[str, str], str]:
    return {(gate.subject, gate.rule): gate.outcome for gate in report.gates}
