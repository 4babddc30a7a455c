"""What Prometheus may read on `/metrics`: of the requests, of the predictions, and of values unlike training."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ..contract import Feature
from .model import Answer, Model, Rows
from .version import Version

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TENTHS = tuple(round(step / 10, 1) for step in range(1, 11))
MOST_NOTES = 20
# What predicts, how it may end, and why not; the dashboard and the alerts ask for these.
ROUTES = ("/predict", "/v2/models/{name}/infer")
STATUSES = ("200", "400", "422", "500", "503")
REASONS = ("fault", "invalid", "not_json", "overload")


class Metrics:
    """The counters of one service; each has its own registry, so that two in one process do not meet."""

    def __init__(self, model: Model, version: Version) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, processor time, open files, start
        contract = model.contract
        self.requests = Counter(
            "serving_requests", "Answered requests.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "serving_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.in_flight = Gauge("serving_in_flight", "Requests being predicted.", registry=registry)
        self.refused = Counter("serving_refused", "Requests not answered, by reason.", ["reason"], registry=registry)
        self.rows = Counter("serving_rows", "Rows predicted.", registry=registry)
        self.out_of_range = Counter(
            "serving_out_of_range", "Values outside the range of training.", ["column", "side"], registry=registry
        )
        self.unknown = Counter(
            "serving_unknown_category", "Categories that training did not see.", ["column"], registry=registry
        )
        self.missing = Counter("serving_missing", "Missing values.", ["column"], registry=registry)
        self.log_errors = Counter(
            "serving_prediction_log_errors", "Records the prediction log lost.", registry=registry
        )
        self.last = Gauge(
            "serving_last_prediction_timestamp_seconds", "When the last row was predicted.", registry=registry
        )
        self.last.set(time.time())  # silence is counted from the start
        self.info = Gauge(
            "serving_model_info", "Always 1; the labels say what is served.", list(asdict(version)), registry=registry
        )
        self.info.labels(**asdict(version)).set(1)
        self.predictions: Counter | None = None
        if contract.task == "classification":
            self.predictions = Counter("serving_predictions", "Predicted classes.", ["prediction"], registry=registry)
            for label in contract.classes:
                self.predictions.labels(label)
            name, help_text = "serving_score", "Probability of the positive class, or of the predicted one of several."
            self.value = Histogram(name, help_text, buckets=TENTHS, registry=registry)
        else:
            help_text = "Predicted values; the buckets are tenths of the predictions for training rows."
            self.value = Histogram("serving_value", help_text, buckets=_deciles(model), registry=registry)
        self._watched = [(feature, set(feature.categories or [])) for feature in contract.features]
        self._start(contract.features)

    def _start(self, features: list[Feature]) -> None:
        """Every series exists from the start: Prometheus sees no increase in the first value of a new one."""
        for route in ROUTES:
            self.seconds.labels(route)
            for status in STATUSES:
                self.requests.labels(route, "POST", status)
        for reason in REASONS:
            self.refused.labels(reason)
        for feature in features:
            self._start_column(feature)

    def _start_column(self, feature: Feature) -> None:
        self.missing.labels(feature.name)
        if feature.type == "category":
            self.unknown.labels(feature.name)
        if feature.minimum is not None:
            self.out_of_range.labels(feature.name, "below")
            self.out_of_range.labels(feature.name, "above")

    def observe(self, rows: Rows, answer: Answer, model: Model) -> list[list[str]]:
        """Count the values and the answers; return per row what is unlike training, in words."""
        count = len(answer.values)
        notes: list[list[str]] = [[] for _ in range(count)]
        for feature, known in self._watched:
            values = rows[feature.name]
            for row, value in enumerate(values):
                said = self._watch(feature, known, value)
                if said is not None and len(notes[row]) < MOST_NOTES:
                    notes[row].append(said)
        self.rows.inc(count)
        self.last.set(time.time())
        if self.predictions is not None and answer.probabilities is not None:
            for label in answer.values:
                self.predictions.labels(label).inc()
            positive = model.contract.positive_class
            place = None if positive is None else model.contract.classes.index(positive)
            scores = answer.probabilities.max(axis=1) if place is None else answer.probabilities[:, place]
        else:
            scores = answer.values
        for score in scores:
            self.value.observe(float(score))
        return notes

    def _watch(self, feature: Feature, known: set[str], value: Any) -> str | None:
        name = feature.name
        if value is None:
            self.missing.labels(name).inc()
            return None
        if feature.type == "category":
            if value in known:
                return None
            self.unknown.labels(name).inc()
            return f"{name}: a category that training did not see"
        if feature.minimum is None or feature.maximum is None or feature.minimum <= value <= feature.maximum:
            return None
        side = "below" if value < feature.minimum else "above"
        self.out_of_range.labels(name, side).inc()
        return f"{name}: {side} the range of training, {feature.minimum:g} to {feature.maximum:g}"

    def text(self) -> bytes:
        return generate_latest(self.registry)


def _deciles(model: Model) -> list[float]:
    """Edges of tenths, with the least value, below which Prometheus would take 0 for the edge."""
    if model.reference.empty:
        return list(Histogram.DEFAULT_BUCKETS)
    values = model.answer_frame(model.reference).values
    return sorted({float(f"{edge:.6g}") for edge in np.quantile(values, np.linspace(0, 1, 11))})
