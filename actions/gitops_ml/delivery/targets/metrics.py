"""What services count on `/metrics`, in Prometheus' text format: the answers of the routes that predict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitops_ml.delivery.targets.canary import LABELS, OWN_ROUTES, Latency, Sample, read_latency

_LINE = re.compile(rf"serving_requests_total{LABELS}\s+(?P<count>[0-9.e+]+).*")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Counts:
    """Since one service started: number of answers, server errors among them, and how long they took."""

    answers: int = 0
    errors: int = 0
    latency: Latency = field(default_factory=lambda: Latency({}))

    def since(self, before: Counts) -> Counts:
        """What was counted after `before`; all of it when the service has started anew in between."""
        if self.answers < before.answers:
            return self
        return Counts(
            self.answers - before.answers, self.errors - before.errors, self.latency.since(before.latency)
        )


def read_counts(metrics: str) -> Counts:
    """The counts in `metrics`. Routes of the service's own, such as its health, say nothing about predictions."""
    answers = errors = 0
    for line in metrics.splitlines():
        match = _LINE.fullmatch(line)
        labels = dict(_LABEL.findall(match["labels"])) if match else {}
        if match is None or OWN_ROUTES.fullmatch(labels.get("route", "")):
            continue
        count = int(float(match["count"]))
        answers += count
        errors += count if labels.get("status", "").startswith("5") else 0
    return Counts(answers, errors, read_latency(metrics))


def total(now: Mapping[str, Counts], before: Mapping[str, Counts]) -> Sample:
    """What services, by name, answered together after `before`; one that is new has counted from nothing."""
    new = [counts.since(before.get(name, Counts())) for name, counts in now.items()]
    return Sample(
        sum(one.answers for one in new),
        sum(one.errors for one in new),
        _sum(one.latency for one in new),
    )


def _sum(latencies: Iterable[Latency]) -> Latency:
    counts: dict[float, float] = {}
    for latency in latencies:
        for bound, count in latency.counts.items():
            counts[bound] = counts.get(bound, 0.0) + count
    return Latency(counts)
