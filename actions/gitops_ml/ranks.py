"""ROC AUC and average precision of weighted rows, and their linear parts; ties are handled exactly.

Arrays of rows in the order of ascending score are called sorted. Weights are counts of resampling, shape
(resamples, rows); results have shape (resamples,), NaN where a resample lacks a class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gitops_ml.arrays import Bools, Floats, Integers, Numbers


@dataclass(frozen=True)
class Ranking:
    """The order of one side's scores: row numbers, and for each sorted row the ends of its group of equal scores."""

    order: Integers  # (rows,) row number at each sorted place
    positive: Bools  # (rows,) bool, sorted
    first: Integers  # (rows,) first sorted place with an equal score
    last: Integers  # (rows,) last sorted place with an equal score


def rank(score: Floats, positive: Bools) -> Ranking:
    """Sort `score` (rows,) once; every resample then costs only sums."""
    rows = len(score)
    order = np.argsort(score, kind="stable")
    ascending = score[order]
    starts = np.flatnonzero(np.concatenate(([True], ascending[1:] != ascending[:-1])))
    lengths = np.diff(np.append(starts, rows))
    first = np.repeat(starts, lengths)
    last = np.repeat(starts + lengths - 1, lengths)
    return Ranking(order, positive[order], first, last)


def _cumulated(weights: Numbers) -> Floats:
    """Running sums along rows with a leading 0: entry k is the weight of the first k sorted rows."""
    total = np.zeros((weights.shape[0], weights.shape[1] + 1), dtype=np.float64)
    np.cumsum(weights, axis=1, out=total[:, 1:])
    return total


def roc_auc(ranking: Ranking, weights: Numbers) -> Floats:
    """The Mann-Whitney form of ROC AUC: pairs in the right order, ties as one half, by weight."""
    positive_rows = np.flatnonzero(ranking.positive)
    by_place = weights[:, ranking.order]
    positive_weights = by_place[:, positive_rows].astype(np.float64)
    negatives = _cumulated(np.where(ranking.positive, 0, by_place))
    below = negatives[:, ranking.first[positive_rows]]
    up_to = negatives[:, ranking.last[positive_rows] + 1]
    pairs = positive_weights.sum(axis=1) * negatives[:, -1]
    right = np.einsum("br,br->b", positive_weights, below + up_to) / 2
    areas: Floats = np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return areas


def average_precision(ranking: Ranking, weights: Numbers) -> Floats:
    """The step-wise area under precision and recall, as scikit-learn defines it."""
    positive_rows = np.flatnonzero(ranking.positive)
    by_place = weights[:, ranking.order].astype(np.float64)
    positive_weights = by_place[:, positive_rows]
    all_below = _cumulated(by_place)
    positives_below = _cumulated(np.where(ranking.positive, by_place, 0.0))
    place = ranking.first[positive_rows]
    positives = positives_below[:, -1]
    hits = positives[:, None] - positives_below[:, place]
    chosen = all_below[:, -1][:, None] - all_below[:, place]
    precision = np.divide(hits, chosen, out=np.zeros_like(hits), where=chosen > 0)
    area = np.einsum("br,br->b", positive_weights, precision)
    areas: Floats = np.divide(area, positives, out=np.full(len(positives), np.nan), where=positives > 0)
    return areas


def placements(ranking: Ranking) -> Floats:
    """DeLong's placement values, (rows,) in the original order.

    For a positive row the share of negatives it beats, for a negative row the share of positives that beat it, ties as
    one half. Their means over either class are the ROC AUC. Source: DeLong, DeLong, Clarke-Pearson, Biometrics 44
    (1988) 837-845.
    """
    positives_before = np.concatenate(([0], np.cumsum(ranking.positive, dtype=np.int64)))
    positives = positives_before[-1]
    negatives = len(ranking.order) - positives
    below, up_to = positives_before[ranking.first], positives_before[ranking.last + 1]
    values = np.empty(len(ranking.order))
    beaten = ((ranking.first - below) + (ranking.last + 1 - up_to)) / 2
    values[ranking.order] = np.where(
        ranking.positive, beaten / max(negatives, 1), (positives - (below + up_to) / 2) / max(positives, 1)
    )
    return values


def average_precision_influence(ranking: Ranking) -> Floats:
    """The derivative of average precision by each row's weight, times the number of rows; (rows,), original order.

    The mean over rows is 0. Source: the infinitesimal jackknife, Efron, "The Jackknife, the Bootstrap and Other
    Resampling Plans" (1982), chapter 6.
    """
    rows = len(ranking.order)
    positive = ranking.positive.astype(np.float64)
    before = np.concatenate(([0.0], np.cumsum(positive)))
    positives = before[-1]
    chosen = (rows - ranking.first).astype(np.float64)
    precision = (positives - before[ranking.first]) / chosen
    area = float((positive * precision).sum() / positives)
    # A row weighs on the precision at every positive of equal or lower score.
    shares = np.concatenate(([0.0], np.cumsum(positive / chosen)))[ranking.last + 1]
    losses = np.concatenate(([0.0], np.cumsum(positive * precision / chosen)))[ranking.last + 1]
    values = np.empty(rows)
    values[ranking.order] = (positive * (precision - area + shares) - losses) * (rows / positives)
    return values
