"""Whether a release that gets a part of the traffic may have all of it: a judgement over counted answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gitops_ml.delivery.targets.settings import Canary

# Two-sided 95 %: an early end needs more than bad luck among the first few answers.
_Z = 1.96


@dataclass(frozen=True)
class Latency:
    """How many answers took at most so many seconds: cumulative counts by upper bound, the last bound infinite."""

    counts: Mapping[float, float]

    @property
    def total(self) -> float:
        return self.counts.get(math.inf, 0.0)

    def since(self, before: Latency) -> Latency:
        """What was counted after `before`; all of it when the service has started anew in between."""
        if self.total < before.total:
            return self
        return Latency({bound: count - before.counts.get(bound, 0.0) for bound, count in self.counts.items()})

    def quantile(self, share: float) -> float | None:
        """Seconds that `share` of the answers stay below; None without answers.

        Linear within a bucket, as Prometheus' `histogram_quantile` does it; above the last finite bound, that bound.
        """
        if not self.total:
            return None
        rank, lower, below = share * self.total, 0.0, 0.0
        for bound in sorted(self.counts):
            count = self.counts[bound]
            if count >= rank and count > below:
                if math.isinf(bound):
                    return lower
                return lower + (bound - lower) * (rank - below) / (count - below)
            if not math.isinf(bound):
                lower = bound
            below = count
        return lower


@dataclass(frozen=True)
class Sample:
    """What one release answered meanwhile: number of answers, server errors among them, and their latency."""

    answers: int
    errors: int
    latency: Latency = Latency({})

    @property
    def error_rate(self) -> float:
        return min(self.errors, self.answers) / self.answers if self.answers else float(self.errors > 0)


def hopeless(policy: Canary, new: Sample) -> str:
    """Why the end need not be awaited, or nothing: even the lower end of the error rate's interval is too high."""
    if new.answers < policy.min_requests or _lower(new.error_rate, new.answers) <= policy.max_error_rate:
        return ""
    return _errors(policy, new)


def judge(policy: Canary, new: Sample, old: Sample) -> str:
    """Why the new release may not have all traffic, or nothing. `old` is what served at its side meanwhile."""
    if new.answers < policy.min_requests:
        return f"it answered {new.answers} requests, and {policy.min_requests} are asked for"
    if new.error_rate > policy.max_error_rate:
        return _errors(policy, new)
    after, before = new.latency.quantile(0.95), old.latency.quantile(0.95)
    if after is None:
        return "it counts no latency of its answers on /metrics"
    if before is not None and after > policy.max_latency_ratio * before:
        return (
            f"95 % of its answers took up to {after:.3f} s, more than {policy.max_latency_ratio:g} times"
            f" the {before:.3f} s of the release that serves"
        )
    return ""


def _errors(policy: Canary, new: Sample) -> str:
    return (
        f"{new.errors} of its {new.answers} answers were server errors ({new.error_rate:.1%}), and"
        f" {policy.max_error_rate:.1%} are allowed"
    )


def _lower(rate: float, count: int) -> float:
    """The lower end of Wilson's interval for a share of `count` (Wilson 1927)."""
    spread = _Z * math.sqrt(rate * (1 - rate) / count + _Z**2 / (4 * count**2))
    return (rate + _Z**2 / (2 * count) - spread) / (1 + _Z**2 / count)
