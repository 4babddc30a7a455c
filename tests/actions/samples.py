"""Reports to render and post."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from typing import Any

from gitops_ml.report import (
    Change,
    Comparison,
    Cost,
    Curve,
    Failure,
    GateResult,
    Identity,
    Interval,
    Metric,
    Report,
    Slice,
    TestSuite,
)

HEAD = Identity(commit="a1" * 20, data_hash="ab" * 32, eval_hash="cd" * 32, model_hash="ef" * 32, seed=7)
BASE = Identity(commit="0123abcd" * 5, age_s=260_000.0, data_hash="ab" * 32, eval_hash="cd" * 32, seed=7)
RED = GateResult(
    subject="roc_auc", rule="floor", outcome="fail", limit=0.97, actual=0.9631, message="below the floor"
)
GREEN = GateResult(subject="accuracy", rule="floor", outcome="pass", limit=0.9, actual=0.953, message="")
YELLOW = GateResult(
    subject="log_loss", rule="ceiling", outcome="warn", limit=0.15, actual=0.171, message="too high"
)


def metric(
    name: str, base: float | None, head: float | None, verdict: str, spread: float | None = None, **more: Any
) -> Metric:
    """One metric; `spread` is half the width of its interval."""
    delta = None if base is None or head is None else head - base
    interval = None if spread is None or delta is None else Interval(low=delta - spread, high=delta + spread)
    values = {"direction": "higher", "base": base, "head": head, "delta": delta, "interval": interval, **more}
    return Metric.model_validate({"name": name, "verdict": verdict, **values})


WORSE = metric("roc_auc", 0.9912, 0.9631, "regressed", 0.012)
BETTER = metric("roc_auc", 0.95, 0.97, "improved", 0.01)
NOISE = metric("roc_auc", 0.95, 0.951, "within noise", 0.01)
METRICS = (
    metric("accuracy", 0.951, 0.953, "within noise", 0.006),
    metric("brier", 0.041, 0.041, "unchanged", direction="lower"),
    metric("log_loss", 0.112, 0.171, "regressed", 0.035, direction="lower"),
    metric(
        "fit_seconds",
        1.21,
        2.4,
        "not comparable",
        direction="lower",
        why="There are no predictions to judge it.",
    ),
    metric("pinball", None, 0.22, "new", direction="lower"),
)
SLICES = tuple(
    Slice(column="age_group", value=value, rows=rows, metric=metric("roc_auc", base, head, verdict, 0.03))
    for value, rows, base, head, verdict in (
        ("30-50", 220, 0.99, 0.985, "within noise"),
        (">50", 309, 0.992, 0.994, "within noise"),
        ("<30", 41, 0.97, 0.90, "regressed"),
    )
)
COSTS = (
    Cost(name="training time", unit="s", head=2.4, base=1.2),
    Cost(name="peak memory", unit="MiB", head=311.0, base=305.0),
    Cost(name="model size", unit="bytes", head=14_822.0, base=14_822.0),
)
CHANGES = (
    Change(kind="parameter", name="model.C", before="1.0", after="0.001"),
    Change(kind="package", name="scikit-learn", before="1.7.0", after="1.8.0"),
    Change(kind="gate", name="metrics.roc_auc.floor", before="0.95", after="0.90", loosens=True),
    Change(kind="data", name="data/raw.csv", before=None, after="12ab34cd"),
)
_X = tuple(step / 40 for step in range(41))


def compared(*metrics: Metric, **more: Any) -> Comparison:
    """A comparison with the merge base."""
    values = {
        "baseline": "merge base",
        "available": True,
        "rows": 570,
        "identity": BASE,
        "metrics": metrics,
        **more,
    }
    return Comparison.model_validate(values)


def report(**changes: Any) -> Report:
    """A report in which everything occurs, with `changes` to its fields."""
    values: dict[str, Any] = {
        "schema": 1,
        "verdict": "fail",
        "model": "trained",
        "task": "classification",
        "primary": "roc_auc",
        "head": HEAD,
        "comparisons": (
            compared(*METRICS, WORSE, slices=SLICES),
            compared(metric("roc_auc", 0.98, 0.9631, "regressed", 0.01), baseline="production"),
        ),
        "gates": (
            GREEN,
            YELLOW,
            RED,
            GateResult(
                subject="roc_auc on age_group=<30",
                rule="max_drop",
                outcome="waived",
                limit=0.05,
                actual=-0.07,
                message="a small group, waived until 2027-01-01",
            ),
        ),
        "suites": (
            TestSuite(name="data", passed=12, failed=0, skipped=0),
            TestSuite(
                name="model",
                passed=7,
                failed=1,
                skipped=1,
                failures=(
                    Failure(name="test_monotone_in_age", message="AssertionError: 0.4 < 0.5\n  line 12"),
                ),
            ),
        ),
        "costs": COSTS,
        "changes": CHANGES,
        "curves": (
            Curve(
                title="ROC curve",
                x_label="false positive rate",
                y_label="true positive rate",
                x=_X,
                head=tuple(x**0.2 for x in _X),
                base=tuple(x**0.1 for x in _X),
            ),
        ),
        "notes": ("Trained with Python 3.12.",),
    }
    return Report.model_validate({**values, **changes})


def passing(**changes: Any) -> Report:
    """A report of a better model that passes."""
    values = {
        "verdict": "pass",
        "gates": (GREEN,),
        "comparisons": (compared(BETTER),),
        "suites": (),
        "changes": (),
    }
    return report(**{**values, **changes})


def as_json(value: Report) -> str:
    """The text of report.json."""
    return value.model_dump_json(by_alias=True)


def zipped(**files: bytes | str) -> bytes:
    """A zip file; `report_json` becomes `report.json`."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_json", ".json"), content)
    return buffer.getvalue()


def artifact(value: Report) -> bytes:
    """What a run uploads for `value`."""
    return zipped(report_json=as_json(value), report_html="<p>")


def as_dict(value: Report) -> dict[str, Any]:
    """`value` as plain JSON values, to be damaged."""
    return dict(json.loads(as_json(value)))
