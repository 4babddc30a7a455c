"""The paired bootstrap: how sure is the difference of a metric between two models on the same evaluation rows?

Both sides are resampled with the same rows (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993). What a
metric needs decides how its resamples are drawn; all are draws of the same multinomial distribution over rows:

- **Counted** metrics (accuracy, F1 ...) depend only on how many rows fall into each cell (truth, head's answer, base's
  answer). The cells are drawn from their multinomial distribution: exact for any number of rows.
- **Up to `EXACT_DRAWS` row draws** every row is drawn. Means are a matrix product; ROC AUC and average precision are
  sorted once and each resample costs only running sums.
- **Beyond**, means of per-row values are drawn directly: the `EXTREMES` most extreme rows one by one from their
  multinomial distribution, the sum of all the others from the normal distribution with their mean and covariance (the
  central limit theorem). ROC AUC enters by DeLong's placement values (1988), average precision by the infinitesimal
  jackknife (Efron 1982), RMSE and R2 as functions of means.

Intervals are percentile intervals, widened for small samples as in Hesterberg, "What Teachers Should Know about the
Bootstrap" (The American Statistician 69, 2015), section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gitops_ml import ranks, scores
from gitops_ml.arrays import Floats, Integers, Numbers
from gitops_ml.catalogue import Known
from gitops_ml.scores import Sample

EXACT_DRAWS = 2_000_000
EXTREMES = 256
BLOCK = 1_000_000
MAX_UNDEFINED = 0.05
Deltas = Floats


@dataclass(frozen=True)
class Noise:
    """How noise is measured: number of resamples, confidence of the interval, seed."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Difference:
    """A metric on both sides and the interval of head minus base; no interval when too many resamples lack a class."""

    head: float
    base: float
    low: float | None
    high: float | None

    @property
    def delta(self) -> float:
        return self.head - self.base


@dataclass(frozen=True)
class _Means:
    """A difference that is a function of means: `rows` (rows, k), and `of` from means (resamples, k) to deltas."""

    rows: Floats
    of: Callable[[Numbers], Deltas]


def compare(metrics: Mapping[str, Known], head: Sample, base: Sample, noise: Noise) -> dict[str, Difference]:
    """The difference of each metric that is defined on both sides; `head` and `base` hold the same rows in order."""
    points: dict[str, tuple[float, float]] = {}
    for name, known in metrics.items():
        left, right = scores.score(known, head), scores.score(known, base)
        if left is not None and right is not None:
            points[name] = (left, right)
    drawn = draw({name: metrics[name] for name in points}, head, base, noise)
    found = {}
    for name, (left, right) in points.items():
        size = effective_rows(metrics[name], head)
        low, high = interval(drawn[name], noise.confidence, size)
        found[name] = Difference(left, right, low, high)
    return found


def draw(metrics: Mapping[str, Known], head: Sample, base: Sample, noise: Noise) -> dict[str, Deltas]:
    """Resampled differences (resamples,) of each metric; NaN where a resample leaves it undefined."""
    exact = head.rows * noise.resamples <= EXACT_DRAWS
    drawn: dict[str, Deltas] = {}
    by_weights: dict[str, Callable[[Numbers], Deltas]] = {}
    for name, known in metrics.items():
        if known.kind in scores.COUNTED:
            drawn[name] = draw_counted(known, head, base, noise)
        elif exact:
            by_weights[name] = weighted_difference(known, head, base)
        else:
            drawn[name] = draw_means(_means(known, head, base), noise)
    if by_weights:
        blocks: dict[str, list[Deltas]] = {name: [] for name in by_weights}
        for weights in weight_blocks(head.rows, noise):
            for name, difference in by_weights.items():
                blocks[name].append(difference(weights))
        drawn.update({name: np.concatenate(parts) for name, parts in blocks.items()})
    return drawn


def weight_blocks(rows: int, noise: Noise) -> Iterator[Integers]:
    """How often each row is drawn, in blocks of shape (some resamples, rows); every resample draws `rows` times."""
    generator = np.random.default_rng([noise.seed, 0])
    height = max(1, min(noise.resamples, BLOCK // rows))
    for start in range(0, noise.resamples, height):
        size = min(height, noise.resamples - start)
        places = generator.integers(0, rows, size=(size, rows))
        places += np.arange(size)[:, None] * rows
        yield np.bincount(places.ravel(), minlength=size * rows).reshape(size, rows)


def weighted_difference(known: Known, head: Sample, base: Sample) -> Callable[[Numbers], Deltas]:
    """The exact difference as a function of weights (resamples, rows)."""
    if known.kind not in scores.RANKED:
        means = _means(known, head, base)
        return lambda weights: means.of(weights.astype(np.float64) @ means.rows / head.rows)
    left, right = scores.rankings(head), scores.rankings(base)

    def difference(weights: Numbers) -> Deltas:
        return scores.ranked(known, head, weights, left) - scores.ranked(known, base, weights, right)

    return difference


def draw_counted(known: Known, head: Sample, base: Sample, noise: Noise) -> Deltas:
    """Resampled differences of a metric of counts, from the multinomial distribution of its cells."""
    cells, counts = _cells(head, base)
    generator = np.random.default_rng([noise.seed, 1])
    height = max(1, min(noise.resamples, 4 * BLOCK // len(counts)))
    parts = []
    for start in range(0, noise.resamples, height):
        size = min(height, noise.resamples - start)
        drawn = generator.multinomial(head.rows, counts / head.rows, size=size).astype(np.float64)
        parts.append(counted_difference(known, head, cells, drawn))
    return np.concatenate(parts)


def _cells(head: Sample, base: Sample) -> tuple[Integers, Integers]:
    """The different (truth, head's answer, base's answer), shape (cells, 3), and how many rows each has."""
    size = head.classes
    codes = (head.truth.astype(np.int64) * size + head.answers) * size + base.answers
    if size**3 <= 4 * BLOCK:
        tally = np.bincount(codes, minlength=size**3)
        found = np.flatnonzero(tally)
        counts = tally[found]
    else:
        found, counts = np.unique(codes, return_counts=True)
    return np.stack([found // (size * size), found // size % size, found % size], axis=1), counts


def counted_difference(known: Known, head: Sample, cells: Integers, drawn: Floats) -> Deltas:
    """The exact difference as a function of `drawn` (resamples, cells), how often each cell was drawn."""
    values = []
    for side in (1, 2):
        classes = scores.classes_in_use(known, cells[:, 0], cells[:, side], head.positive)
        actual = (cells[:, :1] == classes).astype(np.float64)
        predicted = (cells[:, side : side + 1] == classes).astype(np.float64)
        positive = classes == head.positive
        values.append(
            scores.rates(known, drawn @ (actual * predicted), drawn @ predicted, drawn @ actual, positive)
        )
    return values[0] - values[1]


def draw_means(means: _Means, noise: Noise) -> Deltas:
    """Resampled differences of a function of means over many rows; see the module's third method."""
    generator = np.random.default_rng([noise.seed, 2])
    rows, width = means.rows.shape
    centre = means.rows.mean(axis=0)
    spread = means.rows.std(axis=0)
    distance = np.zeros(rows)
    for column in range(width):
        if spread[column] > 0:
            np.maximum(
                distance, np.abs(means.rows[:, column] - centre[column]) / spread[column], out=distance
            )
    count = min(EXTREMES, rows // 2)
    chosen = np.argpartition(distance, rows - count)[rows - count :]
    extremes = means.rows[chosen]
    # Centred sums keep their digits at ten million rows.
    sums = ((means.rows - centre).sum(axis=0) - (extremes - centre).sum(axis=0)) / (rows - count)
    shifted = means.rows - centre
    shifted[chosen] = sums
    shifted -= sums
    covariance = shifted.T @ shifted / (rows - count)
    draws = generator.multinomial(rows, [1 / rows] * count + [1 - count / rows], size=noise.resamples)
    bulk = draws[:, -1:].astype(np.float64)
    normal = generator.standard_normal((noise.resamples, width)) @ _root(covariance).T
    total = draws[:, :-1] @ (extremes - centre) + bulk * sums + np.sqrt(bulk) * normal
    return means.of(centre + total / rows)


def _root(covariance: Floats) -> Floats:
    """A square root of a covariance matrix, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def _means(known: Known, head: Sample, base: Sample) -> _Means:
    """The difference of `known` as a function of means over rows; for ranked metrics its linear part."""
    if known.kind in scores.MEANS:
        return _Means(
            (scores.losses(known, head) - scores.losses(known, base))[:, None], lambda means: means[:, 0]
        )
    if known.kind == "rmse":
        errors = np.stack([scores.squared_errors(head), scores.squared_errors(base)], axis=1)
        return _Means(
            errors, lambda means: np.sqrt(np.maximum(means[:, 0], 0)) - np.sqrt(np.maximum(means[:, 1], 0))
        )
    if known.kind == "r2":
        centred = head.truth - head.truth.mean()
        gained = scores.squared_errors(base) - scores.squared_errors(head)
        return _Means(np.stack([gained, centred, centred**2], axis=1), _r2_difference)
    if known.kind == "average_precision":
        return _average_precision_means(known, head, base)
    return _auc_means(known, head, base)


def _r2_difference(means: Floats) -> Deltas:
    spread = means[:, 2] - means[:, 1] ** 2
    deltas: Deltas = np.divide(means[:, 0], spread, out=np.full(len(means), np.nan), where=spread > 0)
    return deltas


def _average_precision_means(known: Known, head: Sample, base: Sample) -> _Means:
    """Average precision as its point difference plus the mean of its linear part."""
    pairs = list(zip(scores.rankings(head), scores.rankings(base), strict=True))
    weights = _class_weights(known, [float(left.positive.mean()) for left, _ in pairs])
    linear, point = np.zeros(head.rows), 0.0
    for weight, (left, right) in zip(weights, pairs, strict=True):
        linear += weight * (
            ranks.average_precision_influence(left) - ranks.average_precision_influence(right)
        )
        ones = np.ones((1, head.rows))
        point += weight * float(
            ranks.average_precision(left, ones)[0] - ranks.average_precision(right, ones)[0]
        )
    return _Means(linear[:, None], lambda means: point + means[:, 0])


def _class_weights(known: Known, shares: list[float]) -> Floats:
    """The weight of each class in an average; those of a weighted one are held at their point values."""
    return (
        np.array(shares) / sum(shares)
        if known.average == "weighted"
        else np.full(len(shares), 1 / len(shares))
    )


def _auc_means(known: Known, head: Sample, base: Sample) -> _Means:
    """ROC AUC as mean placement values over positives plus over negatives, minus the point value.

    With several classes one such sum per class.
    """
    columns: list[Floats] = []
    offsets: list[float] = []
    shares: list[float] = []
    for left, right in zip(scores.rankings(head), scores.rankings(base), strict=True):
        positive = np.empty(head.rows, dtype=bool)
        positive[left.order] = left.positive
        gained = ranks.placements(left) - ranks.placements(right)
        columns += [np.where(positive, gained, 0), positive.astype(np.float64), np.where(positive, 0, gained)]
        offsets.append(float(gained[positive].mean()))
        shares.append(float(positive.mean()))
    weights = _class_weights(known, shares)

    def difference(means: Floats) -> Deltas:
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = (
                means[:, 0::3] / means[:, 1::3] + means[:, 2::3] / (1 - means[:, 1::3]) - np.array(offsets)
            )
        return np.asarray((parts * weights).sum(axis=1))

    return _Means(np.stack(columns, axis=1), difference)


def effective_rows(known: Known, sample: Sample) -> int:
    """The rows that carry the metric: all, or with two classes those of the rarer, where it sets the noise."""
    if sample.classes != 2 or known.kind == "accuracy" or known.kind in scores.MEANS:
        return sample.rows
    counts = np.bincount(sample.truth, minlength=sample.classes)
    return int(counts[counts > 0].min())


def interval(deltas: Deltas, confidence: float, rows: int) -> tuple[float | None, float | None]:
    """The percentile interval of `deltas`, widened for `rows`; (None, None) when too many are undefined."""
    defined = deltas[np.isfinite(deltas)]
    if len(defined) < len(deltas) * (1 - MAX_UNDEFINED) or rows < 2:
        return None, None
    tail = expanded_tail((1 - confidence) / 2, rows)
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def expanded_tail(tail: float, rows: int) -> float:
    """The tail to cut so that a percentile interval of `rows` rows is as wide as Student's (Hesterberg 2015)."""
    normal = NormalDist()
    z = -normal.inv_cdf(tail)
    free = rows - 1
    # Cornish-Fisher expansion of Student's quantile; three terms are plenty from ten degrees of freedom on.
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return normal.cdf(-math.sqrt(rows / free) * student)
