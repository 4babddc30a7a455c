"""The decision about one pull request: from what both sides handed in to one `Report`. Nothing here reads a file."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gitops_ml.catalogue import look_up
from gitops_ml.comparing import Head, Side, alone, compare_slices, compare_with, settle_head
from gitops_ml.curves import curves
from gitops_ml.errors import UserError
from gitops_ml.gates import Gates, with_slice_columns
from gitops_ml.judging import gate_changes, judge
from gitops_ml.pairing import Pair, find_task, pair
from gitops_ml.report import (
    Change,
    Comparison,
    Cost,
    GateResult,
    Identity,
    Metric,
    Overall,
    Report,
    TestSuite,
)
from gitops_ml.reports import Reports, Run

_HASH = re.compile(r"[0-9a-f]{6,64}")
MAX_TEXT = 500


@dataclass(frozen=True)
class Baseline:
    """One baseline as handed in; `reason` says why it is missing."""

    side: Side | None = None
    reason: str = ""
    commit: str | None = None
    age_s: float | None = None


@dataclass(frozen=True)
class Judges:
    """The gates of both sides. The base's judge; head's judge what the base's do not name, and all without a base's."""

    head: Gates | None = None
    base: Gates | None = None

    def effective(self) -> Gates | None:
        if self.base is None or self.head is None:
            return self.base or self.head
        added = {name: rule for name, rule in self.head.metrics.items() if name not in self.base.metrics}
        return self.base.model_copy(
            update={"metrics": {**self.base.metrics, **added}, "slices": self.base.slices or self.head.slices}
        )

    def with_slice_columns(self, present: tuple[str, ...]) -> Judges:
        """Both sides' gates with `columns: all` spelled out as the columns of head's predictions."""
        sides = (gates and with_slice_columns(gates, present) for gates in (self.head, self.base))
        return Judges(*sides)

    def changes(self) -> list[Change]:
        return gate_changes(self.base, self.head) if self.base is not None and self.head is not None else []


@dataclass(frozen=True)
class Inputs:
    """Everything a comparison knows. `problems` are inputs that could not be read: any of them fails the verdict."""

    head: Side
    base: Baseline
    judges: Judges = Judges()
    head_commit: str | None = None
    rescored: Side | None = None
    production: Baseline | None = None
    # Sizes of the images in bytes, None where they are not known.
    image_bytes: int | None = None
    base_image_bytes: int | None = None
    suites: tuple[TestSuite, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    today: dt.date = field(default_factory=lambda: dt.datetime.now(dt.UTC).date())


def build_report(inputs: Inputs) -> Report:
    """The report of a head that was trained."""
    problems, notes = list(inputs.problems), list(inputs.notes)
    gates = inputs.judges.effective()
    head, sample, base, production = _compare(inputs, gates, problems)
    comparisons = [base] if production is None else [base, production]
    results = _judge(inputs, head, base)
    if gates is None:
        notes.append("There is no gates.yaml, so no limit was applied.")
    changes = [*inputs.judges.changes(), *_changes(inputs)]
    if any(change.loosens for change in changes):
        notes.append("This pull request loosens its own gates; it was judged by those of the merge base.")
    if not inputs.head.reports.cost.trained:
        notes.append("Nothing had to be trained: the pipeline was up to date.")
    return Report(
        verdict=_overall(results, inputs.suites, problems, changes, comparisons if gates is None else []),
        model="trained",
        task=head.task or "unknown",
        head=identity(inputs.head.reports.run, inputs.head_commit),
        primary=_primary(head),
        confidence=head.noise.confidence,
        comparisons=tuple(comparisons),
        gates=tuple(results[:500]),
        suites=inputs.suites[:20],
        costs=_costs(inputs),
        changes=tuple(changes[:300]),
        curves=curves(sample.head, sample.base) if sample is not None else (),
        problems=_texts(problems),
        notes=_texts(notes),
    )


def unchanged_report(
    base: Baseline,
    judges: Judges,
    suites: tuple[TestSuite, ...] = (),
    commit: str | None = None,
    problems: Iterable[str] = (),
) -> Report:
    """The report of a head that changes nothing that goes into the model: the baseline's numbers stand."""
    gates = judges.effective()
    changes, found = judges.changes(), list(problems)
    comparison = Comparison(baseline="merge base", available=False, reason=base.reason[:MAX_TEXT])
    primary = gates.primary if gates is not None else None
    run = Run()
    if base.side is not None:
        run, values = base.side.reports.run, base.side.reports.metrics
        metrics = tuple(
            Metric(
                name=name,
                direction=gates.direction(name) if gates is not None else look_up(name).direction,
                head=value,
                base=value,
                delta=0.0,
                verdict="unchanged",
            )
            for name, value in values.items()
        )
        known = identity(run, base.commit, base.age_s)
        comparison = Comparison(baseline="merge base", available=True, identity=known, metrics=metrics)
    task = run.task if run.task in ("classification", "regression") else "unknown"
    return Report.model_validate(
        {
            "verdict": _overall([], suites, found, changes, []),
            "model": "unchanged",
            "task": task,
            "head": identity(run, None).model_copy(update={"commit": _hash(commit)}),
            "primary": primary,
            "comparisons": (comparison,),
            "suites": suites[:20],
            "changes": tuple(changes[:300]),
            "problems": _texts(found),
        }
    )


def failed_report(
    problems: Iterable[str], judges: Judges, suites: tuple[TestSuite, ...] = (), commit: str | None = None
) -> Report:
    """The report of a head without usable numbers: it fails, and says why."""
    gates = judges.effective()
    return Report(
        verdict="fail",
        model="failed",
        head=Identity(commit=_hash(commit)),
        primary=gates.primary if gates is not None else None,
        suites=suites[:20],
        changes=tuple(judges.changes()[:300]),
        problems=_texts(list(problems) or ["Training failed."]),
    )


def _compare(
    inputs: Inputs, gates: Gates | None, problems: list[str]
) -> tuple[Head, Pair | None, Comparison, Comparison | None]:
    """Head settled and compared with both baselines; what cannot be used is added to `problems`."""
    reports, predictions = inputs.head.reports, inputs.head.predictions
    task = None
    try:
        task = find_task(reports.run.task, predictions, reports.metrics)
        head, disagreements = settle_head(inputs.head, task, gates)
        problems += disagreements
    except UserError as error:
        problems.append(worded(error))
        head, _ = settle_head(Side(reports), task, gates)
    base, found = _compare_baseline("merge base", head, inputs.base, inputs.rescored, problems)
    production = None
    if inputs.production is not None:
        production, _ = _compare_baseline("production", head, inputs.production, None, problems)
    sample = found or _own_sample(head, problems)
    return head, sample, _with_slices(head, base, sample, problems), production


def _with_slices(head: Head, base: Comparison, sample: Pair | None, problems: list[str]) -> Comparison:
    """`base` with the slices that the gates ask for; that they cannot be judged is a problem, never a pass."""
    if head.gates is None or head.gates.slices is None:
        return base
    if sample is None:
        problems.append("Slices cannot be judged: head has no usable predictions.")
        return base
    try:
        return base.model_copy(update={"slices": compare_slices(head, sample)})
    except UserError as error:
        problems.append(worded(error))
        return base


def _compare_baseline(
    name: Literal["merge base", "production"],
    head: Head,
    baseline: Baseline,
    rescored: Side | None,
    problems: list[str],
) -> tuple[Comparison, Pair | None]:
    if baseline.side is None:
        return _unavailable(name, head, baseline.reason, Identity(commit=_hash(baseline.commit))), None
    known = identity(baseline.side.reports.run, baseline.commit, baseline.age_s)
    try:
        return compare_with(name, head, baseline.side, rescored, known)
    except UserError as error:
        problems.append(worded(error))
        return _unavailable(name, head, error.message, known), None


def _unavailable(
    name: Literal["merge base", "production"], head: Head, reason: str, known: Identity
) -> Comparison:
    """Head's own numbers stand beside a missing merge base, so that the first report shows them."""
    metrics = alone(head) if name == "merge base" else ()
    return Comparison(
        baseline=name, available=False, reason=reason[:MAX_TEXT], identity=known, metrics=metrics
    )


def _own_sample(head: Head, problems: list[str]) -> Pair | None:
    """Head's rows alone, for slices and pictures without a baseline."""
    if head.side.predictions is None or head.task is None:
        return None
    try:
        return pair(head.side.predictions, None, head.task, head.positive_class, head.slice_columns)
    except UserError as error:
        problems.append(worded(error))
        return None


def _judge(inputs: Inputs, head: Head, base: Comparison) -> list[GateResult]:
    if head.gates is None:
        return []
    metrics = {metric.name: metric for metric in base.metrics}
    missing = "" if base.available else (base.reason or "there is no baseline")
    return judge(head.gates, metrics, base.slices, missing, inputs.today)


def _overall(
    results: Iterable[GateResult],
    suites: Iterable[TestSuite],
    problems: list[str],
    changes: Iterable[Change],
    ungated: Iterable[Comparison],
) -> Overall:
    """`ungated` are the comparisons when there are no gates: then a regression at least warns."""
    outcomes = {result.outcome for result in results}
    if problems or "fail" in outcomes or any(suite.failed for suite in suites):
        return "fail"
    if "warn" in outcomes or any(change.loosens for change in changes):
        return "warn"
    regressed = any(metric.verdict == "regressed" for part in ungated for metric in part.metrics)
    return "warn" if regressed else "pass"


def _primary(head: Head) -> str | None:
    if head.gates is not None:
        return head.gates.primary
    known = [name for name in head.values if look_up(name).kind not in ("other", "time")]
    return next(iter([*known, *head.values]), None)


def identity(run: Run, commit: str | None, age_s: float | None = None) -> Identity:
    """Identity in the report's types; a hash that is not plain hexadecimal is left out."""
    return Identity(
        commit=_hash(commit) or _hash(run.commit),
        age_s=age_s if age_s is not None and age_s >= 0 else None,
        data_hash=_hash(run.data_hash),
        eval_hash=_hash(run.eval_hash),
        model_hash=_hash(run.model_hash),
        seed=run.seed,
    )


def _hash(text: str | None) -> str | None:
    return text if text is not None and _HASH.fullmatch(text) else None


def _costs(inputs: Inputs) -> tuple[Cost, ...]:
    head = inputs.head.reports
    base = inputs.base.side.reports if inputs.base.side is not None else None
    found = []
    if head.cost.trained:
        found.append(Cost(name="training time", unit="s", head=_duration(head), base=_duration(base)))
        found.append(
            Cost(
                name="peak memory",
                unit="MiB",
                head=head.cost.peak_memory_mib,
                base=base.cost.peak_memory_mib if base is not None and base.cost.trained else None,
            )
        )
    size = base.cost.model_bytes if base is not None else None
    found.append(Cost(name="model size", unit="bytes", head=head.cost.model_bytes, base=size))
    found.append(Cost(name="image size", unit="bytes", head=inputs.image_bytes, base=inputs.base_image_bytes))
    return tuple(cost for cost in found if cost.head is not None)


def _duration(reports: Reports | None) -> float | None:
    if reports is None or not reports.cost.trained:
        return None
    return reports.cost.duration_s if reports.cost.duration_s is not None else reports.run.duration_s


def _changes(inputs: Inputs) -> list[Change]:
    """Parameters, data files and packages that differ from the merge base."""
    if inputs.base.side is None:
        return []
    head, base = inputs.head.reports.run, inputs.base.side.reports.run
    kinds: tuple[
        tuple[Literal["parameter", "data", "package"], Mapping[str, str], Mapping[str, str]], ...
    ] = (
        ("parameter", base.params, head.params),
        ("data", base.files, head.files),
        ("package", base.packages, head.packages),
    )
    changes = []
    if (
        not (head.files and base.files)
        and head.data_hash
        and base.data_hash
        and head.data_hash != base.data_hash
    ):
        changes.append(
            Change(kind="data", name="data", before=base.data_hash[:12], after=head.data_hash[:12])
        )
    for kind, before, after in kinds:
        if not before or not after:
            continue  # one side does not say: everything would look new or gone
        for name in sorted(before.keys() | after.keys()):
            if name and before.get(name) != after.get(name):
                changes.append(
                    Change(
                        kind=kind, name=name[:200], before=_cut(before.get(name)), after=_cut(after.get(name))
                    )
                )
    return changes


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:200]


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text[:MAX_TEXT] for text in dict.fromkeys(texts))[:50]


def worded(error: UserError) -> str:
    """An error as one line of the report."""
    return f"{error.message} {error.fix}".strip()
