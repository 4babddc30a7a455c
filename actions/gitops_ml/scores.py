"""Metrics computed from predictions, each row weighted by how often it was drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gitops_ml import ranks
from gitops_ml.arrays import Bools, Floats, Integers, Numbers
from gitops_ml.catalogue import Kind, Known

MEANS: tuple[Kind, ...] = ("log_loss", "brier", "mae", "mse", "pinball", "mape")
COUNTED: tuple[Kind, ...] = ("accuracy", "balanced_accuracy", "f1", "precision", "recall")
RANKED: tuple[Kind, ...] = ("roc_auc", "average_precision")
AVERAGED: tuple[Kind, ...] = ("f1", "precision", "recall", "roc_auc", "average_precision")
MAX_RANKED_CLASSES = 50
# A reported number may have passed through 32-bit floats.
AGREEMENT = 2e-6


@dataclass(frozen=True)
class Sample:
    """One side's evaluation rows.

    `truth`: class numbers (int32) or values (float64), shape (rows,). `pred`: the same for the prediction, or None.
    `score`: the probability of `positive`, shape (rows,), or of every class, shape (rows, classes), or None.
    """

    task: Literal["classification", "regression"]
    truth: Numbers
    pred: Numbers | None = None
    score: Floats | None = None
    classes: int = 0
    positive: int | None = None

    @property
    def rows(self) -> int:
        return len(self.truth)

    @property
    def answers(self) -> Numbers:
        """`pred`; a caller that has not asked `computable` first is in error."""
        if self.pred is None:
            raise ValueError("these rows have no predicted class or value")
        return self.pred

    @property
    def probabilities(self) -> Floats:
        """`score`; a caller that has not asked `computable` first is in error."""
        if self.score is None:
            raise ValueError("these rows have no score")
        return self.score

    def take(self, chosen: Bools | Integers) -> Sample:
        """The rows where `chosen` (bool) is true or whose numbers it holds."""
        return replace(
            self,
            truth=self.truth[chosen],
            pred=None if self.pred is None else self.pred[chosen],
            score=None if self.score is None else self.score[chosen],
        )


def computable(known: Known, sample: Sample) -> bool:
    """Whether `known` can be computed from the columns of `sample`."""
    kind = known.kind
    if sample.task == "regression":
        return sample.pred is not None and kind in ("mae", "mse", "rmse", "r2", "pinball", "mape")
    if kind in COUNTED:
        return sample.pred is not None
    if sample.score is None:
        return False
    if kind in RANKED:
        several = sample.score.ndim == 2
        return not several or (
            kind == "roc_auc" and sample.classes <= MAX_RANKED_CLASSES and known.average != "micro"
        )
    if kind in ("log_loss", "brier"):
        return bool(sample.score.min() >= 0 and sample.score.max() <= 1)
    return False


def score(known: Known, sample: Sample, weights: Numbers | None = None) -> float | None:
    """The metric over rows weighted by `weights` (rows,), or None where it is undefined or not computable."""
    if not computable(known, sample):
        return None
    counts = np.ones(sample.rows) if weights is None else weights.astype(np.float64)
    if known.kind in MEANS:
        value = np.average(losses(known, sample), weights=counts)
    elif known.kind in COUNTED:
        value = rates(known, *(tally[None] for tally in _tallies(sample, counts)))[0]
    elif known.kind in RANKED:
        value = ranked(known, sample, counts[None])[0]
    else:
        errors = squared_errors(sample)
        mean = np.average(errors, weights=counts)
        spread = np.average((sample.truth - np.average(sample.truth, weights=counts)) ** 2, weights=counts)
        value = np.sqrt(mean) if known.kind == "rmse" else (1 - mean / spread if spread > 0 else np.nan)
    return float(value) if np.isfinite(value) else None


def settle(known: Known, sample: Sample, reported: float | None) -> Known:
    """`known` with its average decided: as named, else the first that gives the reported number, else the default.

    The default is the positive class with two classes and the macro average with more.
    """
    if (
        sample.task != "classification"
        or known.kind not in ("f1", "precision", "recall", "roc_auc")
        or known.average
    ):
        return known
    if known.kind in RANKED:
        candidates = ["macro", "weighted"]
    else:
        candidates = [*(["binary"] if sample.positive is not None else []), "macro", "weighted", "micro"]
    choices = [replace(known, average=name) for name in candidates]
    for choice in choices:
        value = score(choice, sample)
        if reported is not None and value is not None and agree(value, reported):
            return choice
    return choices[0]


def agree(computed: float, reported: float) -> bool:
    """Whether a reported number is the computed one, up to rounding to the two or more decimals it shows."""
    decimals = len(repr(reported).partition(".")[2]) if "e" not in repr(reported) else 0
    rounding = 0.51 * 10.0**-decimals if decimals >= 2 else 0.0
    return abs(computed - reported) <= max(AGREEMENT * max(1.0, abs(computed)), rounding)


def losses(known: Known, sample: Sample) -> Floats:
    """The loss of each row, (rows,), for metrics that are the mean of it."""
    truth = sample.truth
    if sample.task == "regression":
        error = truth - sample.answers
        if known.kind == "mse":
            return np.square(error)
        if known.kind == "pinball":
            return np.maximum(known.quantile * error, (known.quantile - 1) * error)
        size = np.abs(error)
        return size / np.maximum(np.abs(truth), np.finfo(np.float64).eps) if known.kind == "mape" else size
    if sample.probabilities.ndim == 2:
        rows = np.arange(sample.rows)
        if known.kind == "log_loss":
            return -np.log(_clipped(sample.probabilities[rows, truth]))
        own = sample.probabilities[rows, truth]
        return np.square(sample.probabilities).sum(axis=1) - np.square(own) + np.square(1 - own)
    positive = truth == sample.positive
    if known.kind == "log_loss":
        return -np.log(_clipped(np.where(positive, sample.probabilities, 1 - sample.probabilities)))
    return np.square(sample.probabilities - positive)


def _clipped(probability: Floats) -> Floats:
    """Away from 0 and 1 by the machine epsilon, as scikit-learn does."""
    epsilon = np.finfo(np.float64).eps
    return np.clip(probability, epsilon, 1 - epsilon)


def squared_errors(sample: Sample) -> Floats:
    return np.square(sample.truth - sample.answers)


def _tallies(sample: Sample, counts: Floats) -> tuple[Floats, Floats, Floats, Bools]:
    right = sample.truth == sample.answers
    size = sample.classes
    in_use = (np.bincount(sample.truth, minlength=size) + np.bincount(sample.answers, minlength=size)) > 0
    keep = _kept(in_use, sample.positive)
    return (
        np.bincount(sample.truth[right], counts[right], minlength=size)[keep],
        np.bincount(sample.answers, counts, minlength=size)[keep],
        np.bincount(sample.truth, counts, minlength=size)[keep],
        np.flatnonzero(keep) == (-1 if sample.positive is None else sample.positive),
    )


def _kept(in_use: Bools, positive: int | None) -> Bools:
    keep = in_use.copy()
    if positive is not None:
        keep[positive] = True
    return keep


def rates(known: Known, hits: Floats, predicted: Floats, actual: Floats, positive: Bools) -> Floats:
    """A metric of counts, (resamples,), from right answers, predictions and truths per class, (resamples, classes).

    `positive` marks the positive class (first row of it is read). What divides by zero counts as 0, as in
    scikit-learn's `zero_division=0`; balanced accuracy leaves out classes without a row.
    """
    kind, average = known.kind, known.average
    total = actual.sum(axis=1)
    if kind == "accuracy" or average == "micro":
        return _ratio(hits.sum(axis=1), total)
    if kind == "balanced_accuracy":
        recall = np.where(actual > 0, _ratio(hits, actual), np.nan)
        return np.nanmean(recall, axis=1)
    if kind == "precision":
        per_class = _ratio(hits, predicted)
    elif kind == "recall":
        per_class = _ratio(hits, actual)
    else:
        per_class = _ratio(2 * hits, predicted + actual)
    if average == "binary":
        return per_class[:, np.atleast_2d(positive)[0]][:, 0]
    if average == "weighted":
        return _ratio((per_class * actual).sum(axis=1), total)
    return per_class.mean(axis=1)


def _ratio(over: Floats, under: Floats) -> Floats:
    return np.divide(over, under, out=np.zeros(np.shape(over), dtype=np.float64), where=under > 0)


def _ranked_classes(sample: Sample) -> list[int]:
    """The positive class, or of several every class that some rows have and some have not."""
    if sample.probabilities.ndim == 1:
        return [] if sample.positive is None else [sample.positive]
    counts = np.bincount(sample.truth, minlength=sample.classes)
    return [int(number) for number in np.flatnonzero((counts > 0) & (counts < sample.rows))]


def rankings(sample: Sample) -> list[ranks.Ranking]:
    """One ranking for the positive class, or one per class that occurs (one against the rest)."""
    score = sample.probabilities
    columns = score[:, None] if score.ndim == 1 else score
    return [
        ranks.rank(columns[:, 0 if score.ndim == 1 else number], sample.truth == number)
        for number in _ranked_classes(sample)
    ]


def ranked(
    known: Known, sample: Sample, weights: Numbers, ranked_rows: list[ranks.Ranking] | None = None
) -> Floats:
    """ROC AUC or average precision, (resamples,), for `weights` (resamples, rows)."""
    found = rankings(sample) if ranked_rows is None else ranked_rows
    compute = ranks.roc_auc if known.kind == "roc_auc" else ranks.average_precision
    areas = np.stack([compute(ranking, weights) for ranking in found])
    if known.average != "weighted" or len(found) == 1:
        return areas.mean(axis=0)
    shares = np.stack([weights[:, sample.truth == number].sum(axis=1) for number in _ranked_classes(sample)])
    return (areas * shares).sum(axis=0) / shares.sum(axis=0)
