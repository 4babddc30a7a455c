"""Head against one baseline: which rows are shared, which metrics can be judged, and with which verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gitops_ml import bootstrap, scores
from gitops_ml.arrays import Bools
from gitops_ml.bootstrap import Difference, Noise
from gitops_ml.catalogue import Known, look_up
from gitops_ml.errors import UserError
from gitops_ml.gates import Gates
from gitops_ml.inputs import shown
from gitops_ml.pairing import Pair, Task, pair
from gitops_ml.predictions import Predictions
from gitops_ml.report import Comparison, Direction, Identity, Interval, Metric, MetricVerdict, Slice
from gitops_ml.reports import Reports
from gitops_ml.scores import Sample

MAX_SLICES = 200
# Timings of one run on a shared machine: a smaller factor than this, or less than a second of training, says nothing.
TIME_FACTOR = 1.5
TRAINING_SECONDS = 1.0
_TRAINING = re.compile(r"(^|[._])(fit|train|training)_(.*_)?(seconds|secs|s)$")
NO_PREDICTIONS = "no predictions on both sides, so noise is not measured"
NOT_FROM_PREDICTIONS = "not computed from predictions, so noise is not measured"


@dataclass(frozen=True)
class Side:
    """One side's reports, with its predictions when they could be read."""

    reports: Reports
    predictions: Predictions | None = None


@dataclass(frozen=True)
class Head:
    """Head's side, its sample, and each metric's definition; `values` are computed where they can be."""

    side: Side
    task: Task | None
    gates: Gates | None
    noise: Noise
    values: Mapping[str, float]
    known: Mapping[str, Known] = field(default_factory=dict)
    slice_columns: tuple[str, ...] = ()
    positive_class: str | None = None

    def direction(self, name: str) -> Direction | None:
        return self.gates.direction(name) if self.gates is not None else look_up(name).direction


def slice_columns(gates: Gates | None) -> tuple[str, ...] | None:
    """The columns to slice by; None for every one that the predictions have."""
    return () if gates is None or gates.slices is None else gates.slices.columns


def settle_head(side: Side, task: Task | None, gates: Gates | None) -> tuple[Head, list[str]]:
    """Head with its metrics computed anew from its predictions, and where the reported ones disagree.

    A metric in a nested group (`train.accuracy`) may be of other rows: when it disagrees, it is left as reported.
    """
    noise = gates.measure() if gates is not None else Noise()
    columns = slice_columns(gates) or ()
    if side.predictions is None or task is None:
        return Head(side, task, gates, noise, side.reports.metrics, slice_columns=columns), []
    stated = side.reports.run.positive_class
    found = pair(side.predictions, None, task, stated)
    values, known, problems = _computed(side.reports, found.head)
    if problems and stated is None and len(found.classes) == 2 and found.head.positive is not None:
        # Which class is the positive one was a guess; the reported numbers may prove it wrong.
        other = found.classes[1 - found.head.positive]
        again = _computed(side.reports, pair(side.predictions, None, task, other).head)
        if not again[2]:
            values, known, problems = again
            stated = other
    return Head(side, task, gates, noise, values, known, columns, stated), problems


def _computed(reports: Reports, sample: Sample) -> tuple[dict[str, float], dict[str, Known], list[str]]:
    """Metrics with those that `sample` gives computed anew, their definitions, and where the reported ones disagree."""
    values, known, problems = dict(reports.metrics), {}, []
    for name, value in reports.metrics.items():
        definition = scores.settle(look_up(name), sample, value)
        computed = scores.score(definition, sample)
        if computed is None:
            continue
        if not scores.agree(computed, value):
            if "." in name:
                continue
            problems.append(
                f"{reports.path / 'metrics.json'}, key {shown(name)}: says {value:.6g}, "
                f"but the predictions beside it give {computed:.6g}."
            )
        values[name], known[name] = computed, definition
    return values, known, problems


def compare_with(
    baseline: Literal["merge base", "production"],
    head: Head,
    base: Side,
    rescored: Side | None,
    identity: Identity,
) -> tuple[Comparison, Pair | None]:
    """Head against `base`; with other evaluation rows, against the base's model `rescored` on head's rows.

    The pair is returned when both sides have predictions of the same rows. Raises `UserError` for predictions that
    cannot be used.
    """
    found, reason = _pair(head, base.predictions)
    reason = reason or (_rows_differ(head.side.reports, base.reports) if found is None else "")
    again = False
    if found is None and reason and rescored is not None and rescored.predictions is not None:
        found, why_not = _pair(head, rescored.predictions)
        again = found is not None
        reason = reason if again else f"{reason}; re-scoring did not help: {why_not or 'no predictions'}"
    differences: dict[str, Difference] = {}
    if found is not None and found.base is not None:
        differences = bootstrap.compare(head.known, found.head, found.base, head.noise)
    names = _order([*head.values, *base.reports.metrics], head.gates)
    metrics = tuple(
        _metric(
            name,
            head,
            base.reports.metrics.get(name),
            differences.get(name),
            reason,
            found is not None,
            again,
        )
        for name in names
    )
    comparison = Comparison(
        baseline=baseline,
        available=True,
        reason=reason[:500],
        identity=identity,
        rescored=again,
        rows=found.head.rows if found is not None else None,
        metrics=metrics[:200],
    )
    return comparison, found


def alone(head: Head) -> tuple[Metric, ...]:
    """Head's metrics where there is nothing to compare them with."""
    return tuple(
        Metric(name=name, direction=head.direction(name), head=head.values[name], verdict="new")
        for name in _order(head.values, head.gates)
    )


def _pair(head: Head, base: Predictions | None) -> tuple[Pair | None, str]:
    if head.side.predictions is None or base is None or head.task is None:
        return None, ""
    found = pair(head.side.predictions, base, head.task, head.positive_class, head.slice_columns)
    return (found, "") if found.base is not None else (None, found.reason)


def _rows_differ(head: Reports, base: Reports) -> str:
    """Why two sides without shared predictions cannot be compared; empty when nothing speaks against it."""
    left, right = head.run.eval_hash, base.run.eval_hash
    if left == right:
        return ""
    if left is None or right is None:
        where = "head" if left is None else "the baseline"
        return f"{where} does not say which rows it was evaluated on"
    return f"the evaluation rows differ: {left[:12]} here, {right[:12]} in the baseline"


def _order(names: Iterable[str], gates: Gates | None) -> list[str]:
    """The primary metric first, then those with gates, then the rest as reported."""
    present = list(dict.fromkeys(names))
    wanted = [gates.primary, *gates.metrics] if gates is not None else []
    return list(dict.fromkeys([*(name for name in wanted if name in present), *present]))


def _metric(
    name: str,
    head: Head,
    reported_base: float | None,
    difference: Difference | None,
    reason: str,
    paired: bool,
    rescored: bool,
) -> Metric:
    direction = head.direction(name)
    if difference is not None:
        found = from_difference(name, direction, difference)
        if rescored or reported_base is None or found.why or scores.agree(difference.base, reported_base):
            return found
        return found.model_copy(update={"why": f"the baseline's own metrics.json says {reported_base:.6g}"})
    value = head.values.get(name)
    if value is None or reported_base is None:
        verdict: MetricVerdict = "new" if reported_base is None else "gone"
        return Metric(name=name, direction=direction, head=value, base=reported_base, verdict=verdict)
    kind = look_up(name).kind
    if reason and kind != "time":
        return Metric(
            name=name,
            direction=direction,
            head=value,
            base=reported_base,
            verdict="not comparable",
            why=reason[:500],
        )
    return by_sign(name, direction, value, reported_base, NOT_FROM_PREDICTIONS if paired else NO_PREDICTIONS)


def _too_close_a_timing(name: str, head: float, base: float) -> bool:
    if look_up(name).kind != "time":
        return False
    short = _TRAINING.search(name.lower()) is not None and abs(head - base) < TRAINING_SECONDS
    return short or max(head, base) < TIME_FACTOR * min(head, base)


def by_sign(name: str, direction: Direction | None, head: float, base: float, why: str) -> Metric:
    """A metric without an interval: judged by its sign, timings only when far apart."""
    delta = head - base
    verdict: MetricVerdict
    if delta == 0:
        verdict, why = "unchanged", ""
    elif _too_close_a_timing(name, head, base):
        verdict, why = "within noise", "one timing on each side; this close they are not told apart"
    elif direction is None:
        verdict, why = "not comparable", "which direction is better is not known; say it in gates.yaml"
    else:
        verdict = "improved" if (delta > 0) == (direction == "higher") else "regressed"
    return Metric(name=name, direction=direction, head=head, base=base, delta=delta, verdict=verdict, why=why)


def from_difference(name: str, direction: Direction | None, difference: Difference) -> Metric:
    """A metric with its bootstrap interval, judged by whether that interval leaves out zero."""
    delta = difference.delta
    if difference.low is None or difference.high is None:
        return by_sign(
            name, direction, difference.head, difference.base, "too few rows of one class for an interval"
        )
    low, high = min(difference.low, difference.high), max(difference.low, difference.high)
    verdict: MetricVerdict = "within noise"
    if delta == low == high == 0:
        verdict = "unchanged"
    elif low > 0 or high < 0:
        verdict = "improved" if (low > 0) == (direction == "higher") else "regressed"
    return Metric(
        name=name,
        direction=direction,
        head=difference.head,
        base=difference.base,
        delta=delta,
        interval=Interval(low=low, high=high),
        verdict=verdict,
    )


def compare_slices(head: Head, found: Pair) -> tuple[Slice, ...]:
    """The primary metric on every value of every slice column, worst change first; `found` holds the rows.

    Slices with fewer rows than the gates ask for are listed without a judgement. Raises `UserError` when there are too
    many slices, or when the primary metric cannot be computed from the predictions.
    """
    gates = head.gates
    if gates is None or gates.slices is None:
        return ()
    known = head.known.get(gates.primary)
    if known is None:
        raise UserError(f"Slices cannot be judged: {gates.primary} cannot be computed from the predictions.")
    if sum(len(labels.values) for labels in found.slices.values()) > MAX_SLICES:
        raise UserError(f"More than {MAX_SLICES} slices.", "Slice by columns with fewer values.")
    parts = []
    for column, labels in found.slices.items():
        for code, value in enumerate(labels.values):
            chosen = labels.codes == code
            rows = int(chosen.sum())
            metric = _slice_metric(
                head, gates.primary, known, found, chosen if rows >= gates.slices.min_rows else None
            )
            parts.append(Slice(column=column, value=value[:80] or "(empty)", rows=rows, metric=metric))
    sign = -1 if head.direction(gates.primary) == "lower" else 1
    judged = [part for part in parts if part.metric.delta is not None]
    judged.sort(key=lambda part: (sign * (part.metric.delta or 0.0), part.column, part.value))
    return tuple(judged + [part for part in parts if part.metric.delta is None])


def _slice_metric(head: Head, name: str, known: Known, found: Pair, chosen: Bools | None) -> Metric:
    direction = head.direction(name)
    if chosen is None:
        why = "too few rows to judge"
        return Metric(name=name, direction=direction, verdict="not comparable", why=why)
    left = found.head.take(chosen)
    if found.base is not None:
        right = replace(found.base.take(chosen), truth=left.truth)
        difference = bootstrap.compare({name: known}, left, right, head.noise).get(name)
        if difference is not None:
            return from_difference(name, direction, difference)
    value = scores.score(known, left)
    if value is None:
        why = f"{name} is not defined on these rows"
        return Metric(name=name, direction=direction, verdict="not comparable", why=why)
    return Metric(name=name, direction=direction, head=value, verdict="new")
