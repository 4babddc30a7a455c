"""Small pictures in numbers for the comment: ROC and calibration, or predicted against true values by decile."""

from __future__ import annotations

import numpy as np

from gitops_ml.arrays import Floats
from gitops_ml.report import Curve
from gitops_ml.scores import Sample

ROC_POINTS = np.array([0, 0.01, 0.02, 0.03, 0.05, 0.075, *np.arange(0.1, 1.01, 0.05)])
BINS = 10
MIN_BIN_ROWS = 5
_MAX_ROWS = 1_000_000  # a picture of sixty points is no better with more


def curves(head: Sample, base: Sample | None) -> tuple[Curve, ...]:
    """The pictures that the columns allow; `base` must hold the same rows as `head`."""
    if head.rows > _MAX_ROWS:
        chosen = np.linspace(0, head.rows - 1, _MAX_ROWS).astype(np.int64)
        head, base = head.take(chosen), None if base is None else base.take(chosen)
    found = (
        [_deciles(head, base)] if head.task == "regression" else [_roc(head, base), _calibration(head, base)]
    )
    return tuple(curve for curve in found if curve is not None)


def _floats(values: Floats) -> tuple[float, ...]:
    # Four digits are more than a picture shows, and keep the report small.
    return tuple(float(f"{value:.4g}") for value in values)


def _roc(head: Sample, base: Sample | None) -> Curve | None:
    lines = [_roc_line(side) for side in (head, base) if side is not None]
    if lines[0] is None:
        return None
    other = lines[1] if len(lines) == 2 else None
    return Curve(
        title="ROC",
        x_label="false positive rate",
        y_label="true positive rate",
        x=_floats(ROC_POINTS),
        head=_floats(lines[0]),
        base=() if other is None else _floats(other),
    )


def _roc_line(side: Sample) -> Floats | None:
    """True positive rates at `ROC_POINTS`, linear between the thresholds."""
    if side.score is None or side.score.ndim != 1:
        return None
    positive = side.truth == side.positive
    if not 0 < positive.sum() < side.rows:
        return None
    order = np.argsort(-side.score, kind="stable")
    ends = np.flatnonzero(np.append(side.score[order][1:] != side.score[order][:-1], True))
    hits = np.concatenate(([0], np.cumsum(positive[order])[ends]))
    alarms = np.concatenate(([0], np.cumsum(~positive[order])[ends]))
    # At one false positive rate the best true positive rate counts, so of equal abscissas the last is kept.
    last = np.append(alarms[1:] != alarms[:-1], True)
    rates: Floats = np.interp(ROC_POINTS, alarms[last] / alarms[-1], hits[last] / hits[-1])
    return rates


def _calibration(head: Sample, base: Sample | None) -> Curve | None:
    sides = [
        side for side in (head, base) if side is not None and side.score is not None and side.score.ndim == 1
    ]
    if not sides or sides[0] is not head:
        return None
    shares, counts = [], []
    for side in sides:
        score = side.probabilities
        if score.min() < 0 or score.max() > 1:
            return None
        place = np.minimum((score * BINS).astype(np.int64), BINS - 1)
        count = np.bincount(place, minlength=BINS)
        hits = np.bincount(place, side.truth == side.positive, minlength=BINS)
        counts.append(count)
        shares.append(hits / np.maximum(count, 1))
    enough = np.min(counts, axis=0) >= MIN_BIN_ROWS
    if enough.sum() < 2:
        return None
    return Curve(
        title="Calibration",
        x_label="predicted probability",
        y_label="observed share",
        x=_floats(((np.arange(BINS) + 0.5) / BINS)[enough]),
        head=_floats(shares[0][enough]),
        base=_floats(shares[1][enough]) if len(shares) == 2 else (),
    )


def _deciles(head: Sample, base: Sample | None) -> Curve | None:
    """Mean prediction by decile of the truth; deciles with equal means are one point."""
    if head.pred is None or head.rows < 2 * BINS:
        return None
    groups = np.array_split(np.argsort(head.truth, kind="stable"), BINS)
    truth = np.array([head.truth[rows].mean() for rows in groups])
    keep = np.append(True, np.diff(truth) > 0)
    if keep.sum() < 2:
        return None
    lines = [
        np.array([side.pred[rows].mean() for rows in groups])[keep]
        for side in (head, base)
        if side is not None and side.pred is not None
    ]
    return Curve(
        title="Predicted by true value",
        x_label="true value (mean of decile)",
        y_label="predicted (mean)",
        x=_floats(truth[keep]),
        head=_floats(lines[0]),
        base=_floats(lines[1]) if len(lines) == 2 else (),
    )
