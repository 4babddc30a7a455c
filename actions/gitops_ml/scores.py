"""Metrics computed from predictions, each row weighted by how often it was drawn."""

from __future__ import annotations

import math
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
        return known.average != "micro" and 0 < len(_ranked_classes(sample)) <= MAX_RANKED_CLASSES
    if kind in ("log_loss", "brier"):
        return bool(sample.score.min() >= 0 and sample.score.max() <= 1)
    return False


def score(known: Known, sample: Sample, weights: Numbers | None = None) -> float | None:
    """The metric over rows weighted by `weights` (rows,), or None where it is undefined or not computable."""
    if not computable(known, sample):
        return None
    counts: Floats = np.ones(sample.rows) if weights is None else weights.astype(np.float64)
    if known.kind in MEANS:
        value = float(np.average(losses(known, sample), weights=counts))
    elif known.kind in COUNTED:
        value = _counted(known, sample, counts)
    elif known.kind in RANKED:
        value = float(ranked(known, sample, counts[None])[0])
    else:
        mean = float(np.average(squared_errors(sample), weights=counts))
        value = math.sqrt(mean) if known.kind == "rmse" else 1 - mean / (_spread(sample, counts) or math.nan)
    return value if math.isfinite(value) else None


def _spread(sample: Sample, counts: Floats) -> float:
    """The variance of the truth."""
    centred = sample.truth - np.average(sample.truth, weights=counts)
    return float(np.average(centred**2, weights=counts))


def settle(known: Known, sample: Sample, reported: float | None) -> Known:
    """`known` with its average decided: as named, else the one that gives the reported number, else the default.

    The default is the positive class with two classes and the macro average with more.
    """
    if sample.task != "classification" or known.kind not in AVERAGED or known.average:
        return known
    if known.kind in RANKED:
        candidates = ["macro", "weighted"]
    else:
        candidates = [*(["binary"] if sample.positive is not None else []), "macro", "weighted", "micro"]
    choices = [replace(known, average=name) for name in candidates]
    if reported is None:
        return choices[0]
    values = [(choice, score(choice, sample)) for choice in choices]
    near = [
        (abs(value - reported), choice)
        for choice, value in values
        if value is not None and agree(value, reported)
    ]
    return min(near, key=lambda found: found[0])[1] if near else choices[0]


def agree(computed: float, reported: float) -> bool:
    """Whether a reported number is the computed one, up to rounding to the two or more decimals it shows."""
    decimals = len(repr(reported).partition(".")[2]) if "e" not in repr(reported) else 0
    rounding = 0.51 * 10.0**-decimals if decimals >= 2 else 0.0
    return abs(computed - reported) <= max(AGREEMENT * max(1.0, abs(computed)), rounding)


def losses(known: Known, sample: Sample) -> Floats:
    """The loss of each row, (rows,), for metrics that are the mean of it."""
    return _errors(known, sample) if sample.task == "regression" else _class_losses(known, sample)


def _errors(known: Known, sample: Sample) -> Floats:
    error: Floats = sample.truth - sample.answers
    if known.kind == "mse":
        error = np.square(error)
    elif known.kind == "pinball":
        error = np.maximum(known.quantile * error, (known.quantile - 1) * error)
    else:
        error = np.abs(error)
        if known.kind == "mape":
            error /= np.maximum(np.abs(sample.truth), np.finfo(np.float64).eps)
    return error


def _class_losses(known: Known, sample: Sample) -> Floats:
    score, several = sample.probabilities, sample.probabilities.ndim == 2
    own: Floats  # the probability given to what is true
    if several:
        own = score[np.arange(sample.rows), sample.truth]
    else:
        own = np.where(sample.truth == sample.positive, score, 1 - score)
    if known.kind == "log_loss":
        # Away from 0 and 1 by the machine epsilon, as scikit-learn does.
        epsilon = np.finfo(np.float64).eps
        own = -np.log(np.clip(own, epsilon, 1 - epsilon))
        return own
    missed: Floats = np.square(1 - own)
    if several:
        missed += np.square(score).sum(axis=1) - np.square(own)
    return missed


def squared_errors(sample: Sample) -> Floats:
    """The squared error of each row, (rows,)."""
    errors: Floats = np.square(sample.truth - sample.answers)
    return errors


def _counted(known: Known, sample: Sample, counts: Floats) -> float:
    answers, size = sample.answers, sample.classes
    right = sample.truth == answers
    classes = classes_in_use(known, sample.truth, answers, sample.positive)
    tallies: list[Floats] = [
        np.bincount(codes, weights, minlength=size)[None, classes].astype(np.float64)
        for codes, weights in (
            (sample.truth[right], counts[right]),
            (answers, counts),
            (sample.truth, counts),
        )
    ]
    return float(rates(known, tallies[0], tallies[1], tallies[2], classes == sample.positive)[0])


def classes_in_use(known: Known, truth: Integers, answers: Integers, positive: int | None) -> Integers:
    """The classes an average runs over: those true or answered, and the positive one where it is asked for."""
    asked = [positive] if known.average == "binary" and positive is not None else []
    classes: Integers = np.unique(np.concatenate((np.unique(truth), np.unique(answers), asked))).astype(
        np.int64
    )
    return classes


def rates(known: Known, hits: Floats, predicted: Floats, actual: Floats, positive: Bools) -> Floats:
    """A metric of counts, (resamples,), from right answers, predictions and truths per class, (resamples, classes).

    `positive`, (classes,), marks the positive class. What divides by zero counts as 0, as in
    scikit-learn's `zero_division=0`; balanced accuracy leaves out classes without a row.
    """
    kind, average = known.kind, known.average
    total: Floats = actual.sum(axis=1)
    if kind == "accuracy" or average == "micro":
        return _ratio(hits.sum(axis=1), total)
    if kind == "balanced_accuracy":
        occurring = actual > 0
        return _ratio(_ratio(hits, actual).sum(axis=1), occurring.sum(axis=1).astype(np.float64))
    if kind == "precision":
        per_class = _ratio(hits, predicted)
    elif kind == "recall":
        per_class = _ratio(hits, actual)
    else:
        per_class = _ratio(2 * hits, predicted + actual)
    if average == "binary":
        return per_class[:, int(np.flatnonzero(positive)[0])]
    if average == "weighted":
        return _ratio((per_class * actual).sum(axis=1), total)
    means: Floats = per_class.mean(axis=1)
    return means


def _ratio(over: Floats, under: Floats) -> Floats:
    ratio: Floats = np.divide(over, under, out=np.zeros(np.shape(over), dtype=np.float64), where=under > 0)
    return ratio


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
    areas: Floats = np.stack([compute(ranking, weights) for ranking in found])
    shares: Floats = np.ones((len(found), 1))
    if known.average == "weighted":
        shares = np.stack(
            [weights[:, sample.truth == number].sum(axis=1) for number in _ranked_classes(sample)]
        )
    means: Floats = (areas * shares).sum(axis=0) / shares.sum(axis=0)
    return means
