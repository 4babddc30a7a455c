"""What a report says, in plain words and numbers; Markdown and HTML both show these sentences.

Everything returned here is text that may hold names from the pull request: the caller escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gitops_ml.report import Comparison, Cost, GateResult, Identity, Metric, Report, Slice

ICONS = {"pass": "✅", "warn": "⚠️", "fail": "❌", "waived": "🕊️"}
VERDICT_ICONS = {
    "improved": "🟢",
    "regressed": "🔴",
    "within noise": "⚪",
    "unchanged": "⚪",
    "not comparable": "❔",
    "new": "🆕",
    "gone": "⚫",
}
_SEVERITY = {"fail": 0, "warn": 1, "waived": 2, "pass": 3}
_MINUS = "−"


@dataclass(frozen=True)
class Headline:
    """The first thing a reviewer reads: verdict with its reason, then the primary metric."""

    icon: str
    title: str
    primary: str


def headline(report: Report) -> Headline:
    """Say first whether anything fails and why, then what happened to the primary metric."""
    return Headline(ICONS[report.verdict], _title(report), _primary_sentence(report))


def _title(report: Report) -> str:
    reason = _first_reason(report)
    if report.model == "unchanged" and report.verdict == "pass":
        return "Model unchanged: nothing that goes into it was touched"
    if report.verdict == "fail":
        return f"Fails: {reason}" if reason else "Fails"
    if report.verdict == "warn":
        return f"Passes with a warning: {reason}" if reason else "Passes with a warning"
    waived = sum(gate.outcome == "waived" for gate in report.gates)
    if waived:
        return f"Passes, {count(waived, 'gate')} waived"
    return (
        f"Passes {count(len(report.gates), 'gate', every=True)}"
        if report.gates
        else "Passes; no gate applied"
    )


def _first_reason(report: Report) -> str:
    """The first thing that made the verdict what it is: no numbers, a gate, a test suite, another problem."""
    reds = [gate for gate in sorted_gates(report.gates) if gate.outcome == report.verdict]
    broken = [suite for suite in report.suites if suite.failed]
    more = len(reds) + len(broken) - 1
    tail = f" (and {more} more)" if more > 0 else ""
    if report.model == "failed" and report.problems:
        return report.problems[0]
    if reds:
        return gate_phrase(reds[0]) + tail
    if broken:
        return f"{count(broken[0].failed, 'test')} of {broken[0].name} failed" + tail
    return report.problems[0] if report.problems else ""


def gate_phrase(gate: GateResult) -> str:
    """`roc_auc is 0.91, floor 0.95`; for other rules what the gate itself says, with its subject in front."""
    if gate.rule in ("floor", "ceiling") and gate.actual is not None and gate.limit is not None:
        return f"{gate.subject} is {plain(gate.actual)}, {gate.rule} {plain(gate.limit)}"
    if not gate.message:
        return f"{gate.subject} breaks {gate.rule}"
    return gate.message if gate.subject in gate.message else f"{gate.subject} – {gate.message}"


def _primary_sentence(report: Report) -> str:
    if report.model == "unchanged":
        return "Nothing was trained, so no number changed."
    if report.model == "failed":
        return "There are no usable numbers of this commit."
    comparison = find(report, "merge base")
    if comparison is None or not comparison.available:
        reason = comparison.reason if comparison else "no merge base was given"
        return f"There is no baseline to compare with: {reason or 'no reason was given'}"
    metric = primary_metric(report, comparison)
    if metric is None:
        return "No primary metric was named, so see the table."
    return metric_sentence(metric, report.confidence)


def metric_sentence(metric: Metric, confidence: float) -> str:
    """One sentence on one metric against the merge base, with its interval."""
    if metric.head is None or metric.base is None or metric.delta is None:
        side = {"new": "is new", "gone": "is gone"}.get(metric.verdict, "cannot be compared")
        return f"{metric.name} {side}" + (f": {metric.why}" if metric.why else ".")
    base, head = aligned((metric.base, metric.head), spread=_spread(metric))
    numbers = f"{base} → {head}"
    change = delta(metric)
    if metric.interval is not None:
        low, high = (
            signed(value, decimals_of(metric)) for value in (metric.interval.low, metric.interval.high)
        )
        change += f", {percent(confidence)} interval {low} to {high}"
    match metric.verdict:
        case "improved" | "regressed":
            return f"{metric.name} {metric.verdict}: {numbers} ({change}) against the merge base."
        case "within noise":
            return f"{metric.name} did not change beyond noise: {numbers} ({change}) against the merge base."
        case "unchanged":
            return f"{metric.name} is unchanged at {head}."
        case _:
            return (
                f"{metric.name} is not comparable with the merge base: {metric.why or 'no reason was given'}"
            )


def find(report: Report, baseline: str) -> Comparison | None:
    """The comparison with `baseline`, or None."""
    return next((each for each in report.comparisons if each.baseline == baseline), None)


def primary_metric(report: Report, comparison: Comparison | None) -> Metric | None:
    """The primary metric in `comparison`, or None."""
    metrics = comparison.metrics if comparison else ()
    return next((metric for metric in metrics if metric.name == report.primary), None)


def sorted_gates(gates: Iterable[GateResult]) -> list[GateResult]:
    """Red first, then yellow, waived and green; otherwise in the order of the report."""
    return sorted(gates, key=lambda gate: _SEVERITY[gate.outcome])


def sorted_metrics(report: Report, metrics: Iterable[Metric]) -> list[Metric]:
    """The primary metric, then what regressed, improved, cannot be compared, and the rest."""
    order = ("regressed", "improved", "not comparable", "gone", "new", "within noise", "unchanged")
    return sorted(metrics, key=lambda metric: (metric.name != report.primary, order.index(metric.verdict)))


def sorted_slices(slices: Iterable[Slice]) -> list[Slice]:
    """Worst change first, measured in the metric's direction; slices without a change come last."""

    def badness(each: Slice) -> float:
        if each.metric.delta is None:
            return math.inf
        return -each.metric.delta if each.metric.direction == "lower" else each.metric.delta

    return sorted(slices, key=badness)


def compared(report: Report) -> list[str]:
    """What was compared: commits with age, seeds, data, evaluation rows; one sentence per side."""
    sentences = [f"Head: {identity(report.head, None)}"]
    for comparison in report.comparisons:
        name = comparison.baseline.capitalize()
        if not comparison.available:
            sentences.append(f"{name}: none ({comparison.reason or 'no reason was given'})")
            continue
        parts = [identity(comparison.identity, report.head)]
        if comparison.rows is not None:
            parts.append(f"{_rows(comparison, report.head)} evaluation rows")
        if comparison.rescored:
            parts.append("its model was scored again on head's evaluation rows")
        sentences.append(f"{name}: {', '.join(parts)}")
    return sentences


def _rows(comparison: Comparison, head: Identity) -> str:
    rows = f"{comparison.rows:,}"
    same = None not in (head.eval_hash, comparison.identity.eval_hash) and (
        head.eval_hash == comparison.identity.eval_hash
    )
    return f"the same {rows}" if same else rows


def identity(side: Identity, other: Identity | None) -> str:
    """`commit abc1234, 3 days old, seed 7, data 12ab34cd (same as head)`, or that nothing is known."""
    parts = []
    if side.commit:
        parts.append(f"commit {side.commit[:7]}")
    if side.age_s is not None:
        parts.append(f"{duration(side.age_s)} old")
    if side.seed is not None:
        parts.append(f"seed {side.seed}")
    if side.data_hash:
        note = ""
        if other is not None and other.data_hash:
            note = " (same as head)" if other.data_hash == side.data_hash else " (differs from head)"
        parts.append(f"data {side.data_hash[:8]}{note}")
    return ", ".join(parts) or "nothing is known of what it was made from"


def cost_values(cost: Cost) -> tuple[str, str, str]:
    """Base, head and change of one cost in a readable unit; `-` where a side is unknown."""
    show = {"s": duration, "MiB": lambda value: size(value * 2**20), "bytes": size}[cost.unit]
    base = show(cost.base) if cost.base is not None else "-"
    head = show(cost.head) if cost.head is not None else "-"
    if cost.base is None or cost.head is None:
        return base, head, "-"
    change = cost.head - cost.base
    relative = f" ({_sign(change)}{abs(change) / cost.base * 100:,.0f} %)" if cost.base > 0 else ""
    return base, head, f"{_sign(change)}{show(abs(change))}{relative}" if change else "none"


def duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps at least one whole: `0.4 s`, `12 min`, `3 days`."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return (
                f"{_short(seconds / length)} {'day' if unit == 'days' and seconds < 1.5 * length else unit}"
            )
    return f"{_short(seconds)} s"


def size(quantity: float) -> str:
    """Bytes in binary units: `812 B`, `1.4 MiB`."""
    for unit, length in (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if quantity >= length:
            return f"{_short(quantity / length)} {unit}"
    return f"{_short(quantity)} B"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def count(number: int, noun: str, every: bool = False) -> str:
    """`1 gate`, `3 gates`; with `every`, `its only gate`, `all 3 gates`."""
    if number == 1:
        return f"its only {noun}" if every else f"1 {noun}"
    return f"all {number} {noun}s" if every else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """0.95 as `95 %`."""
    return f"{share * 100:g} %"


def _sign(value: float) -> str:
    return "+" if value > 0 else _MINUS if value < 0 else "±"


def _spread(metric: Metric) -> float | None:
    """The smallest quantity that the numbers of `metric` must still show."""
    sizes = [abs(metric.delta)] if metric.delta else []
    if metric.interval is not None:
        sizes.append(metric.interval.high - metric.interval.low)
    return min((each for each in sizes if each > 0), default=None)


def decimals_of(metric: Metric) -> int:
    """Decimals that show the change of `metric` with two digits, between 3 and 6."""
    return _decimals([value for value in (metric.head, metric.base) if value is not None], _spread(metric))


def _decimals(values: Iterable[float], spread: float | None) -> int:
    if spread:
        return max(0, min(6, 1 - math.floor(math.log10(spread)))) if spread < 100 else 0
    largest = max((abs(value) for value in values), default=0.0)
    return 0 if largest == 0 or largest >= 1000 else max(0, min(6, 3 - math.floor(math.log10(largest))))


def aligned(values: tuple[float, ...], spread: float | None = None) -> tuple[str, ...]:
    """Numbers with the same decimals: enough for four digits, or for two digits of `spread`."""
    decimals = _decimals(values, spread)
    return tuple(number(value, decimals) for value in values)


def number(value: float, decimals: int) -> str:
    """One number with `decimals`; very large and very small ones in powers of ten."""
    magnitude = abs(value)
    if magnitude >= 1e12 or (magnitude and magnitude < 0.5 * 10.0**-decimals and decimals >= 6):
        return f"{value:.3e}".replace("-", _MINUS)
    return f"{value:,.{decimals}f}".replace("-", _MINUS)


def plain(value: float) -> str:
    """One number on its own, with up to five digits and no trailing zeros."""
    return f"{value:.5g}".replace("-", _MINUS)


def signed(value: float, decimals: int) -> str:
    """One number with its sign always shown."""
    return f"{_sign(value)}{number(abs(value), decimals)}" if value else number(0.0, decimals)


def delta(metric: Metric) -> str:
    """The change of `metric`, signed, or `-`."""
    return "-" if metric.delta is None else signed(metric.delta, decimals_of(metric))


def metric_values(metric: Metric) -> tuple[str, str, str, str]:
    """Base, head, change and interval of one metric, with the same decimals; `-` where there is none."""
    decimals = decimals_of(metric)
    base, head = ("-" if value is None else number(value, decimals) for value in (metric.base, metric.head))
    if metric.interval is None:
        return base, head, delta(metric), "-"
    low, high = (signed(value, decimals) for value in (metric.interval.low, metric.interval.high))
    return base, head, delta(metric), f"{low} to {high}"
