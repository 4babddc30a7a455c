"""Metrics computed here against scikit-learn's, on the same rows with the same weights."""

from __future__ import annotations

import numpy as np
import pytest
from gitops_ml.catalogue import look_up
from gitops_ml.scores import Sample, agree, computable, score, settle
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk


def binary(rows: int = 300, seed: int = 0, ties: bool = False) -> Sample:
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < 0.35).astype(np.int32)
    probability = 1 / (1 + np.exp(-(generator.normal(size=rows) + 1.5 * truth - 0.7)))
    probability = np.round(probability, 1) if ties else probability
    return Sample("classification", truth, (probability > 0.5).astype(np.int32), probability, 2, 1)


def several(rows: int = 300, classes: int = 4, seed: int = 0) -> Sample:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows).astype(np.int32)
    raw = generator.random((rows, classes)) + 0.5 * (truth[:, None] == np.arange(classes))
    share = raw / raw.sum(axis=1, keepdims=True)
    return Sample("classification", truth, share.argmax(axis=1).astype(np.int32), share, classes, None)


def regression(rows: int = 300, seed: int = 0) -> Sample:
    generator = np.random.default_rng(seed)
    truth = generator.normal(10, 3, rows)
    return Sample("regression", truth, truth + generator.normal(size=rows))


BINARY = {
    "accuracy": lambda s, w: sk.accuracy_score(s.truth, s.pred, sample_weight=w),
    "balanced_accuracy": lambda s, w: sk.balanced_accuracy_score(s.truth, s.pred, sample_weight=w),
    "f1": lambda s, w: sk.f1_score(s.truth, s.pred, sample_weight=w, zero_division=0),
    "f1_macro": lambda s, w: sk.f1_score(s.truth, s.pred, sample_weight=w, average="macro", zero_division=0),
    "precision": lambda s, w: sk.precision_score(s.truth, s.pred, sample_weight=w, zero_division=0),
    "recall": lambda s, w: sk.recall_score(s.truth, s.pred, sample_weight=w, zero_division=0),
    "roc_auc": lambda s, w: sk.roc_auc_score(s.truth, s.score, sample_weight=w),
    "average_precision": lambda s, w: sk.average_precision_score(s.truth, s.score, sample_weight=w),
    "log_loss": lambda s, w: sk.log_loss(s.truth, s.score, sample_weight=w, labels=[0, 1]),
    "brier": lambda s, w: sk.brier_score_loss(s.truth, s.score, sample_weight=w),
}
SEVERAL = {
    "accuracy": BINARY["accuracy"],
    "balanced_accuracy": BINARY["balanced_accuracy"],
    **{
        f"{name}_{average}": (
            lambda s, w, name=name, average=average: getattr(sk, f"{name}_score")(
                s.truth, s.pred, sample_weight=w, average=average, zero_division=0
            )
        )
        for name in ("f1", "precision", "recall")
        for average in ("macro", "weighted", "micro")
    },
    "roc_auc": lambda s, w: sk.roc_auc_score(s.truth, s.score, sample_weight=w, multi_class="ovr"),
    "log_loss": lambda s, w: sk.log_loss(s.truth, s.score, sample_weight=w),
    "brier": lambda s, w: np.average(
        ((s.score - (s.truth[:, None] == np.arange(s.classes))) ** 2).sum(axis=1), weights=w
    ),
}
REGRESSION = {
    "mae": lambda s, w: sk.mean_absolute_error(s.truth, s.pred, sample_weight=w),
    "mse": lambda s, w: sk.mean_squared_error(s.truth, s.pred, sample_weight=w),
    "rmse": lambda s, w: sk.root_mean_squared_error(s.truth, s.pred, sample_weight=w),
    "r2": lambda s, w: sk.r2_score(s.truth, s.pred, sample_weight=w),
    "pinball": lambda s, w: sk.mean_pinball_loss(s.truth, s.pred, sample_weight=w),
    "pinball_0.9": lambda s, w: sk.mean_pinball_loss(s.truth, s.pred, sample_weight=w, alpha=0.9),
    "mape": lambda s, w: sk.mean_absolute_percentage_error(s.truth, s.pred, sample_weight=w),
}
CASES = [
    *((name, oracle, binary(ties=ties)) for name, oracle in BINARY.items() for ties in (False, True)),
    *((name, oracle, several()) for name, oracle in SEVERAL.items()),
    *((name, oracle, regression()) for name, oracle in REGRESSION.items()),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2].classes}")
def test_a_metric_is_scikit_learns(case: tuple) -> None:
    name, oracle, sample = case
    known = settle(look_up(name), sample, None)
    counts = np.random.default_rng(3).multinomial(sample.rows, np.full(sample.rows, 1 / sample.rows))
    for weights in (None, counts):
        expected = oracle(sample, np.ones(sample.rows) if weights is None else weights)
        assert score(known, sample, weights) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0])), min_size=2, max_size=40
    )
)
def test_ranks_with_many_ties_are_scikit_learns(rows: list[tuple[bool, float]]) -> None:
    truth = np.array([row[0] for row in rows], dtype=np.int32)
    probability = np.array([row[1] for row in rows])
    sample = Sample("classification", truth, (probability > 0.5).astype(np.int32), probability, 2, 1)
    for name in ("roc_auc", "average_precision"):
        found = score(look_up(name), sample)
        if truth.min() == truth.max():
            assert found is None or (name == "average_precision" and truth.all())
        else:
            assert found == pytest.approx(BINARY[name](sample, np.ones(len(rows))), abs=1e-12)


def test_extreme_probabilities_are_clipped_like_scikit_learns() -> None:
    truth = np.array([0, 1, 1, 0], dtype=np.int32)
    sample = Sample("classification", truth, truth, np.array([1.0, 0.0, 1.0, 0.0]), 2, 1)
    assert score(look_up("log_loss"), sample) == pytest.approx(sk.log_loss(truth, sample.score), rel=1e-9)


def test_scores_that_are_no_probabilities_rank_but_have_no_log_loss() -> None:
    sample = binary()
    margins = Sample("classification", sample.truth, sample.pred, sample.score * 10 - 5, 2, 1)
    assert score(look_up("roc_auc"), margins) == pytest.approx(score(look_up("roc_auc"), sample))
    assert not computable(look_up("log_loss"), margins)
    assert not computable(look_up("brier"), margins)


def test_the_average_that_gives_the_reported_number_is_taken() -> None:
    sample = several()
    for average in ("macro", "weighted", "micro"):
        reported = sk.f1_score(sample.truth, sample.pred, average=average)
        assert settle(look_up("f1"), sample, float(reported)).average == average
    assert settle(look_up("f1"), sample, 0.123).average == "macro"
    assert settle(look_up("f1"), binary(), 0.123).average == "binary"
    assert settle(look_up("f1_weighted"), sample, 0.123).average == "weighted"


@pytest.mark.parametrize(
    ("reported", "same"),
    [
        (0.912345678, True),
        (0.9123, True),
        (0.91, True),
        (0.9124, False),
        (0.92, False),
        (0.9, False),
        (1.0, False),
    ],
)
def test_a_reported_number_may_be_rounded_but_not_wrong(reported: float, same: bool) -> None:
    assert agree(0.912345678, reported) is same


@pytest.mark.parametrize(
    ("name", "kind", "direction"),
    [
        ("roc_auc", "roc_auc", "higher"),
        ("test.roc_auc", "roc_auc", "higher"),
        ("AUC", "roc_auc", "higher"),
        ("f1_macro", "f1", "higher"),
        ("fit_seconds", "time", "lower"),
        ("latency_ms", "time", "lower"),
        ("rmse", "rmse", "lower"),
        ("pinball_0.9", "pinball", "lower"),
        ("pinball_90", "pinball", "lower"),
        ("profit", "other", None),
        ("coefficients", "other", None),
        ("accuracy_gap", "other", None),
    ],
)
def test_names_are_known(name: str, kind: str, direction: str | None) -> None:
    assert (look_up(name).kind, look_up(name).direction) == (kind, direction)
