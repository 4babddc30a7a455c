"""Pictures of the predictions as SVG; equal predictions give equal files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics as measures
from sklearn.calibration import calibration_curve

from .contract import Contract
from .predictions import scores

INK, QUIET, ACCENT = "#1f2933", "#9aa5b1", "#2563a8"
COLOURS = ("#2563a8", "#c2571a", "#2f855a", "#7b4bb7", "#b83280", "#6b7280", "#0e7490", "#a16207")
STYLE = {
    "svg.hashsalt": "reports",  # matplotlib's element ids are random without it
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=COLOURS),
}


def draw(predictions: pd.DataFrame, contract: Contract, folder: Path) -> None:
    """Write the task's pictures into `folder`, which is made."""
    folder.mkdir(parents=True)
    if contract.task == "regression":
        _regression(predictions, contract.target, folder)
    else:
        _classification(predictions, contract, folder)


@contextmanager
def _axes(path: Path, title: str, across: str, up: str) -> Iterator[Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.8, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.set(title=title, xlabel=across, ylabel=up)
        yield axes
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _classification(predictions: pd.DataFrame, contract: Contract, folder: Path) -> None:
    probabilities = scores(predictions, contract)
    shown = [contract.positive_class] if contract.positive_class is not None else contract.classes
    curves = []
    for label in shown:
        hits = (predictions["y_true"] == label).to_numpy()
        if 0 < hits.sum() < len(hits):
            curves.append((label, hits, probabilities[:, contract.classes.index(label)]))
    with _axes(folder / "roc.svg", "ROC", "false positive rate", "true positive rate") as axes:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--")
        for label, hits, score in curves:
            across, up, _ = measures.roc_curve(hits, score)
            axes.plot(across, up, label=f"{label} (area {measures.roc_auc_score(hits, score):.3f})")
        axes.legend(loc="lower right")
    with _axes(folder / "precision-recall.svg", "Precision and recall", "recall", "precision") as axes:
        for label, hits, score in curves:
            precision, recall, _ = measures.precision_recall_curve(hits, score)
            axes.plot(recall, precision, label=f"{label} (average {measures.average_precision_score(hits, score):.3f})")
        axes.set_ylim(0, 1.05)
        axes.legend(loc="lower left")
    with _axes(folder / "calibration.svg", "Calibration", "predicted probability", "observed share") as axes:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="perfectly calibrated")
        for label, hits, score in curves:
            observed, predicted = calibration_curve(
                hits, score, n_bins=min(10, max(2, len(hits) // 20)), strategy="quantile"
            )
            axes.plot(predicted, observed, marker="o", markersize=4, label=str(label))
        axes.legend(loc="upper left")
    _confusion(predictions, contract.classes, folder / "confusion-matrix.svg")


def _confusion(predictions: pd.DataFrame, classes: list[str], path: Path) -> None:
    counts = measures.confusion_matrix(predictions["y_true"], predictions["y_pred"], labels=classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _axes(path, "Confusion matrix", "predicted", "true") as axes:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        places = range(len(classes))
        axes.set_xticks(places, classes, rotation=45 if len(classes) > 4 else 0)
        axes.set_yticks(places, classes)
        axes.spines[["left", "bottom"]].set_visible(False)
        if len(classes) <= 12:
            for row in places:
                for column in places:
                    colour = "white" if shares[row, column] > 0.5 else INK
                    axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)


def _regression(predictions: pd.DataFrame, target: str, folder: Path) -> None:
    truth = predictions["y_true"].to_numpy(dtype=float)
    predicted = predictions["y_pred"].to_numpy(dtype=float)
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    with _axes(folder / "predicted-vs-true.svg", "Predicted and true", f"true {target}", f"predicted {target}") as axes:
        axes.plot([low, high], [low, high], color=QUIET, linewidth=1, linestyle="--")
        axes.scatter(truth, predicted, s=14, color=ACCENT, alpha=0.6, linewidths=0)
    with _axes(folder / "residuals.svg", "Residuals", f"predicted {target}", "true minus predicted") as axes:
        axes.axhline(0, color=QUIET, linewidth=1, linestyle="--")
        axes.scatter(predicted, truth - predicted, s=14, color=ACCENT, alpha=0.6, linewidths=0)
    with _axes(folder / "residual-histogram.svg", "Distribution of residuals", "true minus predicted", "rows") as axes:
        axes.hist(truth - predicted, bins=24, color=ACCENT, edgecolor="white", linewidth=0.5)
