"""What services count on `/metrics`, in Prometheus' text format: the answers of the routes that predict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitops_ml.delivery.targets.canary import Latency, Sample

# The histogram of the service, in seconds, and the routes of it that say nothing about predictions.
METRIC = "serving_request_seconds"
OWN_ROUTES = re.compile(r"/(v2/health/.*|metrics|version|docs|openapi\.json)?")
# Of one line in Prometheus' text format; a value may hold braces, as routes do.
LABELS = r'\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\}'
_BUCKET = re.compile(rf"{METRIC}_bucket{LABELS}\s+(?P<count>\S+).*")
_ANSWERS = re.compile(rf"serving_requests_total{LABELS}\s+(?P<count>[0-9.e+]+).*")
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


def read_latency(metrics: str) -> Latency:
    """The histogram of predictions in `metrics`, Prometheus' text format, summed over the routes that predict."""
    counts: dict[float, float] = {}
    for line in metrics.splitlines():
        match = _BUCKET.fullmatch(line)
        if match is None:
            continue
        labels = dict(_LABEL.findall(match["labels"]))
        if "le" in labels and not OWN_ROUTES.fullmatch(labels.get("route", "")):
            bound = float(labels["le"])
            counts[bound] = counts.get(bound, 0.0) + float(match["count"])
    return Latency(counts)


def read_counts(metrics: str) -> Counts:
    """The counts in `metrics`. Routes of the service's own, such as its health, say nothing about predictions."""
    answers = errors = 0
    for line in metrics.splitlines():
        match = _ANSWERS.fullmatch(line)
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
