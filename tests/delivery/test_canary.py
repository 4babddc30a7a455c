"""The judgement of a canary, over numbers: who may have all traffic, and who may not."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import pytest
from gitops_ml.delivery.targets.canary import Latency, Sample, hopeless, judge
from gitops_ml.delivery.targets.metrics import METRIC, read_latency
from gitops_ml.delivery.targets.settings import Canary

POLICY = Canary(weight=10, duration=dt.timedelta(minutes=5), min_requests=20)
BOUNDS = (0.01, 0.1, 1.0, math.inf)


def latency(*counts: float) -> Latency:
    """Cumulative counts for BOUNDS."""
    return Latency(dict(zip(BOUNDS, counts, strict=True)))


QUICK = Sample(200, 0, latency(190, 200, 200, 200))
SLOW = Sample(200, 0, latency(0, 20, 200, 200))


def test_a_release_like_the_old_one_passes() -> None:
    assert judge(POLICY, QUICK, QUICK) == ""


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (replace(QUICK, answers=19), "answered 19 requests, and 20 are asked for"),
        (replace(QUICK, errors=3), "3 of its 200 answers were server errors"),
        (replace(QUICK, answers=0, errors=0), "answered 0 requests"),
        (SLOW, "more than 2 times"),
        (replace(QUICK, latency=Latency({})), "counts no latency"),
    ],
)
def test_what_is_abandoned_and_why(new: Sample, reason: str) -> None:
    assert reason in judge(POLICY, new, QUICK)


def test_a_slow_release_is_fine_beside_one_as_slow() -> None:
    assert judge(POLICY, SLOW, SLOW) == ""


def test_errors_at_the_limit_pass_and_one_more_does_not() -> None:
    assert judge(POLICY, replace(QUICK, errors=2), QUICK) == ""
    assert judge(POLICY, replace(QUICK, errors=3), QUICK) != ""


def test_it_ends_early_only_when_bad_luck_can_not_explain_the_errors() -> None:
    assert hopeless(POLICY, Sample(20, 1)) == ""
    assert hopeless(POLICY, Sample(19, 19)) == ""
    assert "20 of its 20" in hopeless(POLICY, Sample(20, 20))
    assert hopeless(POLICY, Sample(2000, 0)) == ""


def test_the_quantile_is_linear_within_a_bucket() -> None:
    assert latency(0, 100, 100, 100).quantile(0.5) == pytest.approx(0.01 + 0.09 * 0.5)
    assert latency(100, 100, 100, 100).quantile(0.95) == pytest.approx(0.0095)
    assert latency(0, 0, 0, 10).quantile(0.95) == 1.0
    assert latency(0, 0, 0, 0).quantile(0.95) is None


def test_latency_is_read_from_the_predicting_routes_only_and_since_the_start() -> None:
    def text(predictions: int) -> str:
        return (
            f"# TYPE {METRIC} histogram\n"
            f'{METRIC}_bucket{{le="0.1",route="/predict"}} {predictions}.0\n'
            f'{METRIC}_bucket{{le="+Inf",route="/predict"}} {predictions + 1}.0\n'
            f'{METRIC}_bucket{{le="0.1",route="/v2/models/m/infer"}} 5.0\n'
            f'{METRIC}_bucket{{le="+Inf",route="/v2/models/m/infer"}} 5.0\n'
            f'{METRIC}_bucket{{le="0.1",route="/v2/health/ready"}} 900.0\n'
            f'{METRIC}_bucket{{le="+Inf",route="/v2/health/ready"}} 900.0\n'
            f'{METRIC}_count{{route="/predict"}} {predictions + 1}.0\n'
        )

    before, after = read_latency(text(10)), read_latency(text(30))
    assert dict(after.counts) == {0.1: 35.0, math.inf: 36.0}
    assert dict(after.since(before).counts) == {0.1: 20.0, math.inf: 20.0}
    assert after.since(read_latency(text(99))) == after, "the service has started anew"
