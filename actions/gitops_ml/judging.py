"""Applying gates: from compared metrics to results, and from two versions of the gates to what changed in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from gitops_ml.gates import DROPS, RISES, Gates, MetricRule, SliceRule
from gitops_ml.report import Change, GateResult, Metric, Slice

_BOUNDS = ("floor", "ceiling")
_SLACK = 1e-12  # a limit met up to the last digits of a float is met


def judge(
    gates: Gates, metrics: Mapping[str, Metric], slices: Iterable[Slice], missing: str, today: dt.date
) -> list[GateResult]:
    """Every gate applied to the comparison with the merge base.

    `missing` says why there is no such baseline, or is empty. `today` decides whether a waiver has expired.
    """
    results: list[GateResult] = []
    if missing:
        results.append(_missing_baseline(gates, gates.primary, missing))
    # The primary metric is judged even when no limit is set for it.
    for name, rule in {gates.primary: MetricRule(), **gates.metrics}.items():
        metric = metrics.get(name)
        if metric is None or metric.head is None:
            results.append(_absent(name, rule, nowhere=metric is None and not missing))
            continue
        results += _bounds(name, rule, metric)
        if not missing:
            results += _tolerances(gates, name, rule, metric)
    if not missing:
        results += _regression(gates, metrics.get(gates.primary))
    if gates.slices is not None:
        results += _slices(gates.slices, slices)
    return [_waived(result, gates, today) for result in results]


def _result(
    subject: str,
    rule: str,
    outcome: str,
    message: str,
    limit: float | None = None,
    actual: float | None = None,
) -> GateResult:
    return GateResult.model_validate(
        {
            "subject": subject[:200], "rule": rule, "outcome": outcome, "limit": limit, "actual": actual,
            "message": message[:500],
        }
    )  # fmt: skip


def _absent(name: str, rule: MetricRule, nowhere: bool) -> GateResult:
    """A gated metric that head lacks; one that the baseline lacks too is a fault of the gates, not of head."""
    if nowhere:
        return _result(
            name, "missing metric", "warn", "neither side reports this metric; take it out of the gates"
        )
    return _result(name, "missing metric", rule.severity, "head does not report this metric")


def _missing_baseline(gates: Gates, subject: str, reason: str) -> GateResult:
    return _result(subject, "missing baseline", gates.on_missing_baseline, f"not compared: {reason}")


def _bounds(subject: str, rule: MetricRule | SliceRule, metric: Metric) -> list[GateResult]:
    results: list[GateResult] = []
    value = metric.head
    if value is None:
        return results
    for name in _BOUNDS:
        limit = getattr(rule, name)
        if limit is None:
            continue
        met = value >= limit - _SLACK if name == "floor" else value <= limit + _SLACK
        side = ("at or above" if met else "below") if name == "floor" else ("at or under" if met else "above")
        message = f"{value:.6g} is {side} the {name} {limit:.6g}"
        results.append(_result(subject, name, "pass" if met else rule.severity, message, limit, value))
    return results


def _tolerances(gates: Gates, name: str, rule: MetricRule, metric: Metric) -> list[GateResult]:
    if not rule.is_relative:
        if name == gates.primary and metric.delta is None:
            return [_missing_baseline(gates, name, metric.why or "the baseline lacks this metric")]
        return []
    if metric.delta is None or metric.base is None or metric.verdict == "not comparable":
        return [_missing_baseline(gates, name, metric.why or "the baseline lacks this metric")]
    return _moves(name, rule, metric)


def _moves(subject: str, rule: MetricRule | SliceRule, metric: Metric) -> list[GateResult]:
    """Every tolerance of `rule` on the change of `metric`, which has been compared."""
    results: list[GateResult] = []
    if metric.delta is None or metric.base is None:
        return results
    for key in (*DROPS, *RISES):
        limit = getattr(rule, key)
        if limit is None:
            continue
        worse = -metric.delta if key in DROPS else metric.delta
        allowed = limit * abs(metric.base) if key.endswith("_rel") else limit
        actual = worse / abs(metric.base) if key.endswith("_rel") and metric.base else worse
        results.append(_tolerance(subject, key, rule.severity, metric, (worse, allowed, limit, actual)))
    return results


def _tolerance(
    subject: str, key: str, severity: str, metric: Metric, numbers: tuple[float, float, float, float]
) -> GateResult:
    """One tolerance; a change beyond it that noise can explain is a warning, not a failure."""
    worse, allowed, limit, actual = numbers
    word = "drop" if "drop" in key else "rise"
    if worse <= allowed + _SLACK:
        moved = f"a {word} of {worse:.4g}" if worse > 0 else f"no {word}"
        return _result(subject, key, "pass", f"{moved}; {allowed:.4g} is allowed", limit, actual)
    message = f"a {word} of {worse:.4g}; {allowed:.4g} is allowed"
    if metric.verdict == "within noise":
        return _result(subject, key, "warn", f"{message}, but noise alone can do that", limit, actual)
    return _result(subject, key, severity, message, limit, actual)


def _regression(gates: Gates, metric: Metric | None) -> list[GateResult]:
    """The primary metric never gets worse in silence, even where no tolerance is set."""
    if metric is None or metric.verdict != "regressed":
        return []
    rule = gates.metrics.get(gates.primary)
    if rule is not None and rule.is_relative:
        return []
    return [
        _result(gates.primary, "regression", "warn", "regressed, and no tolerance is set", None, metric.delta)
    ]


def _slices(rule: SliceRule, slices: Iterable[Slice]) -> list[GateResult]:
    """The worst offenders one by one; slices within the limits as one line."""
    results: list[GateResult] = []
    checked = small = 0
    for part in slices:
        if part.rows < rule.min_rows:
            small += 1
            continue
        checked += 1
        metric = part.metric
        subject = f"{metric.name} on {part.column}={part.value}"
        if metric.head is None:
            continue
        found = _bounds(subject, rule, metric)
        if metric.delta is not None and metric.base is not None and metric.verdict != "not comparable":
            found += _moves(subject, rule, metric)
        results += [result for result in found if result.outcome != "pass"]
    results.sort(key=lambda result: ("fail", "warn", "pass", "waived").index(result.outcome))
    if checked or small:
        left_out = f"; {small} with fewer than {rule.min_rows} rows not judged" if small else ""
        beyond = len({result.subject for result in results})
        message = f"{checked} slices judged, {beyond} beyond a limit{left_out}"
        results.append(_result("slices", "worst slice", "pass", message))
    return results[:200]


def _waived(result: GateResult, gates: Gates, today: dt.date) -> GateResult:
    if result.outcome not in ("warn", "fail"):
        return result
    for waiver in gates.waivers:
        whole = result.subject == waiver.metric or result.subject.startswith(f"{waiver.metric} on ")
        if not whole:
            continue
        if waiver.expires >= today:
            message = f"{result.message}; waived until {waiver.expires}: {waiver.reason}"
            return result.model_copy(update={"outcome": "waived", "message": message[:500]})
        message = f"{result.message}; its waiver expired on {waiver.expires}"
        return result.model_copy(update={"message": message[:500]})
    return result


def gate_changes(before: Gates, after: Gates) -> list[Change]:
    """What differs between two versions of the gates; `loosens` marks what lets more through."""
    left, right = _flat(before), _flat(after)
    changes = []
    for name in sorted(left.keys() | right.keys()):
        old, new = left.get(name), right.get(name)
        if old == new:
            continue
        changes.append(
            Change(
                kind="gate",
                name=name[:200],
                before=None if old is None else str(old)[:200],
                after=None if new is None else str(new)[:200],
                loosens=_loosens(name, old, new),
            )
        )
    return changes


def _flat(gates: Gates) -> dict[str, object]:
    found: dict[str, object] = {"primary": gates.primary, "on_missing_baseline": gates.on_missing_baseline}
    for name, rule in gates.metrics.items():
        found[f"metrics.{name}.severity"] = rule.severity
        for key, value in rule.model_dump(exclude={"severity", "direction"}, exclude_none=True).items():
            found[f"metrics.{name}.{key}"] = value
        if direction := gates.direction(name):
            found[f"metrics.{name}.direction"] = direction
    if gates.slices is not None:
        for key, value in gates.slices.model_dump(exclude={"columns"}, exclude_none=True).items():
            found[f"slices.{key}"] = value
        columns = gates.slices.columns
        found.update(
            {f"slices.columns.{column}": "judged" for column in (("all",) if columns is None else columns)}
        )
    found.update({f"noise.{key}": value for key, value in gates.noise.model_dump().items()})
    for waiver in gates.waivers:
        found[f"waivers.{waiver.metric}"] = f"until {waiver.expires}: {waiver.reason}"
    return found


_LOOSE_WHEN_HIGHER = (
    "ceiling",
    "max_drop",
    "max_drop_rel",
    "max_rise",
    "max_rise_rel",
    "min_rows",
    "confidence",
)
_RANKS = {"pass": 0, "warn": 1, "fail": 2}


def _loosens(name: str, old: object, new: object) -> bool:
    """Whether going from `old` to `new` lets more through; when that cannot be told, it counts as loosening."""
    if name.startswith("waivers."):
        return new is not None
    if new is None or old is None:
        return new is None
    key = name.rsplit(".", 1)[-1]
    if key in ("severity", "on_missing_baseline"):
        return _RANKS[str(new)] < _RANKS[str(old)]
    if isinstance(old, int | float) and isinstance(new, int | float):
        if key in _LOOSE_WHEN_HIGHER:
            return new > old
        if key in ("floor", "resamples"):
            return new < old
    return True
