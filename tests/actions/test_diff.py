"""`gitops-ml diff` from folders to report and exit code: every state a pull request can be in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gitops_ml.catalogue import look_up
from gitops_ml.comparing import by_sign

from tests.actions.comparison import (
    GATES,
    classification,
    comparison,
    metric,
    metrics_of,
    outcomes,
    write_reports,
)


def test_a_better_model_passes(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification(blur=1.0))
    write_reports(place / "head", classification(blur=0.0))
    code, report = diff("--base", "base", "--base-gates", "gates.yaml", "--base-commit", "a" * 40)
    assert (code, report.verdict, report.model) == (0, "pass", "trained")
    primary = metric(report, "roc_auc")
    assert primary.verdict == "improved"
    assert primary.interval is not None
    assert primary.interval.low > 0
    assert comparison(report).rows == 600
    assert comparison(report).identity.commit == "a" * 40
    assert [part.value for part in comparison(report).slices]
    assert {curve.title for curve in report.curves} == {"ROC", "Calibration"}


def test_a_worse_model_fails_and_names_the_rule(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification(blur=0.0))
    write_reports(place / "head", classification(blur=2.0))
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (1, "fail")
    assert metric(report, "roc_auc").verdict == "regressed"
    assert outcomes(report)["roc_auc", "max_drop"] == "fail"


def test_noise_alone_passes(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification(blur=0.1, seed=1))
    write_reports(place / "head", classification(blur=0.1, seed=2))
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (0, "pass")
    assert metric(report, "roc_auc").verdict == "within noise"
    assert metric(report, "roc_auc").delta != 0


def test_the_same_model_is_unchanged(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    _, report = diff("--base", "base")
    assert {metric.verdict for metric in comparison(report).metrics} == {"unchanged"}


def test_rows_in_another_order_are_the_same_rows(place: Path, diff: Any) -> None:
    columns = classification(blur=1.0)
    order = np.random.default_rng(0).permutation(600)
    write_reports(place / "head", classification())
    write_reports(place / "base", columns)
    _, straight = diff("--base", "base")
    write_reports(place / "base", {name: column[order] for name, column in columns.items()})
    _, shuffled = diff("--base", "base")
    assert shuffled == straight


def test_the_report_is_the_same_every_time(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification(blur=1.0))
    write_reports(place / "head", classification())
    diff("--base", "base")
    first = (place / "report" / "report.json").read_bytes()
    diff("--base", "base")
    assert (place / "report" / "report.json").read_bytes() == first


@pytest.mark.parametrize(
    ("missing", "verdict", "code"), [("pass", "pass", 0), ("warn", "warn", 0), ("fail", "fail", 1)]
)
def test_the_first_pull_request_has_no_baseline(
    place: Path, diff: Any, missing: str, verdict: str, code: int
) -> None:
    (place / "gates.yaml").write_text(
        GATES.replace("on_missing_baseline: warn", f"on_missing_baseline: {missing}")
    )
    write_reports(place / "head", classification())
    found, report = diff("--base", "nowhere", "--base-reason", "the first pull request")
    assert (found, report.verdict) == (code, verdict)
    assert not comparison(report).available
    assert comparison(report).reason == "the first pull request"
    assert outcomes(report)["roc_auc", "floor"] == "pass"
    assert (metric(report, "roc_auc").verdict, metric(report, "roc_auc").base) == ("new", None)
    assert [part.metric.verdict for part in comparison(report).slices] == ["new", "new"]


def test_a_floor_holds_without_a_baseline(place: Path, diff: Any) -> None:
    write_reports(place / "head", classification(blur=4.0))
    code, report = diff()
    assert code == 1
    assert outcomes(report)["roc_auc", "floor"] == "fail"


def other_rows(blur: float = 0.0) -> dict[str, np.ndarray]:
    columns = classification(blur=blur)
    return columns | {"id": np.array([f"new {name}" for name in columns["id"]])}


def test_other_evaluation_rows_are_not_comparable_until_the_base_is_scored_again(
    place: Path, diff: Any
) -> None:
    write_reports(place / "base", classification(blur=2.0))
    write_reports(place / "head", other_rows(), run={"eval_hash": "ef" * 32})
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (0, "warn")
    assert metric(report, "roc_auc").verdict == "not comparable"
    assert metric(report, "roc_auc").delta is None
    assert "600 of 600 rows" in metric(report, "roc_auc").why
    assert outcomes(report)["roc_auc", "missing baseline"] == "warn"

    write_reports(place / "again", other_rows(blur=2.0))
    code, report = diff("--base", "base", "--rescored", "again")
    assert (code, report.verdict) == (0, "pass")
    assert comparison(report).rescored
    assert metric(report, "roc_auc").verdict == "improved"
    assert metric(report, "fit_seconds").verdict == "unchanged"


def test_scored_again_on_yet_other_rows_helps_nothing(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    write_reports(place / "head", other_rows())
    write_reports(place / "again", classification())
    _, report = diff("--base", "base", "--rescored", "again")
    assert metric(report, "roc_auc").verdict == "not comparable"
    assert "re-scoring did not help" in comparison(report).reason


def test_the_same_ids_with_other_truths_are_not_comparable(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    write_reports(place / "head", classification(flip=7))
    _, report = diff("--base", "base")
    assert metric(report, "roc_auc").verdict == "not comparable"
    assert "y_true of 7 of 600 rows" in metric(report, "roc_auc").why


def test_metrics_that_the_predictions_deny_fail(place: Path, diff: Any) -> None:
    columns = classification()
    write_reports(place / "base", columns)
    write_reports(place / "head", columns, metrics=metrics_of(columns) | {"roc_auc": 0.9999})
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (1, "fail")
    assert any("says 0.9999" in problem and "roc_auc" in problem for problem in report.problems)


def test_a_baseline_that_the_predictions_deny_is_remarked(place: Path, diff: Any) -> None:
    columns = classification()
    write_reports(place / "base", columns, metrics=metrics_of(columns) | {"roc_auc": 0.5})
    write_reports(place / "head", columns)
    code, report = diff("--base", "base")
    assert code == 0
    assert metric(report, "roc_auc").base == metric(report, "roc_auc").head
    assert "metrics.json says 0.5" in metric(report, "roc_auc").why


def test_metrics_of_training_rows_in_a_group_are_no_contradiction(place: Path, diff: Any) -> None:
    columns = classification()
    metrics = metrics_of(columns) | {"train": {"roc_auc": 0.9999}}
    write_reports(place / "base", columns, metrics=metrics)
    write_reports(place / "head", columns, metrics=metrics)
    code, report = diff("--base", "base")
    assert (code, report.problems) == (0, ())
    assert metric(report, "train.roc_auc").head == 0.9999


GATES_PLAIN = "schema: 1\nprimary: roc_auc\nmetrics: {roc_auc: {max_drop: 0.01}}\n"


def test_a_repository_with_metrics_only_is_judged_by_the_sign(place: Path, diff: Any) -> None:
    (place / "gates.yaml").write_text(GATES_PLAIN)
    for name, value in (("base", 0.9), ("head", 0.85)):
        (place / name).mkdir()
        (place / name / "metrics.json").write_text(json.dumps({"roc_auc": value, "test": {"rows": 100}}))
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (1, "fail")
    assert metric(report, "roc_auc").verdict == "regressed"
    assert "noise is not measured" in metric(report, "roc_auc").why
    assert metric(report, "test.rows").verdict == "unchanged"


@pytest.mark.parametrize(("head", "base"), [("aa" * 32, "bb" * 32), ("aa" * 32, None), (None, "bb" * 32)])
def test_without_predictions_the_evaluation_hash_decides(
    place: Path, diff: Any, head: str | None, base: str | None
) -> None:
    (place / "gates.yaml").write_text(GATES_PLAIN)
    write_reports(place / "head", metrics={"roc_auc": 0.9}, run={"eval_hash": head})
    write_reports(place / "base", metrics={"roc_auc": 0.9}, run={"eval_hash": base})
    _, report = diff("--base", "base")
    assert report.verdict == "warn"
    assert metric(report, "roc_auc").verdict == "not comparable"


@pytest.mark.parametrize(
    ("name", "head", "base", "verdict"),
    [
        ("fit_seconds", 0.9, 0.1, "within noise"),
        ("fit_seconds", 2.9, 2.0, "within noise"),
        ("fit_seconds", 9.0, 2.0, "regressed"),
        ("fit_seconds", 2.0, 9.0, "improved"),
        ("latency_ms", 12.0, 10.0, "within noise"),
        ("latency_seconds", 0.9, 0.1, "regressed"),
        ("profit", 2.0, 1.0, "not comparable"),
        ("profit", 1.0, 1.0, "unchanged"),
    ],
)
def test_a_number_without_predictions_is_judged_with_care(
    name: str, head: float, base: float, verdict: str
) -> None:
    assert by_sign(name, look_up(name).direction, head, base, "why").verdict == verdict


def test_no_gates_at_all_is_said_and_a_regression_still_warns(place: Path, diff: Any) -> None:
    (place / "gates.yaml").unlink()
    write_reports(place / "base", classification())
    write_reports(place / "head", classification(blur=2.0))
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (0, "warn")
    assert any("no gates.yaml" in note for note in report.notes)


def test_loosened_gates_are_shown_and_the_old_ones_judge(place: Path, diff: Any) -> None:
    (place / "old.yaml").write_text(GATES)
    (place / "gates.yaml").write_text(
        GATES.replace("max_drop: 0.01", "max_drop: 0.9").replace("0.10}\nn", "0.99}\nn")
    )
    write_reports(place / "base", classification())
    write_reports(place / "head", classification(blur=2.0))
    code, report = diff("--base", "base", "--base-gates", "old.yaml")
    assert code == 1
    assert outcomes(report)["roc_auc", "max_drop"] == "fail"
    loosened = [change for change in report.changes if change.kind == "gate" and change.loosens]
    assert ("metrics.roc_auc.max_drop", "0.01", "0.9") in [(c.name, c.before, c.after) for c in loosened]

    write_reports(place / "head", classification())
    code, report = diff("--base", "base", "--base-gates", "old.yaml")
    assert (code, report.verdict) == (0, "warn")


def test_a_waiver_of_the_pull_request_itself_waives_nothing(place: Path, diff: Any) -> None:
    (place / "old.yaml").write_text(GATES)
    waiver = "waivers: [{metric: roc_auc, reason: please, expires: 2999-01-01}]"
    (place / "gates.yaml").write_text(GATES.replace("waivers: []", waiver))
    write_reports(place / "base", classification())
    write_reports(place / "head", classification(blur=2.0))
    assert diff("--base", "base", "--base-gates", "old.yaml")[0] == 1
    assert diff("--base", "base")[1].gates != ()


def test_deleted_gates_are_no_way_out(place: Path, diff: Any) -> None:
    (place / "gates.yaml").rename(place / "old.yaml")
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    code, report = diff("--base", "base", "--base-gates", "old.yaml")
    assert code == 1
    assert any("gates.yaml does not exist" in problem for problem in report.problems)


def test_broken_gates_of_the_base_do_not_lock_the_repository(place: Path, diff: Any) -> None:
    (place / "old.yaml").write_text("schema: 1\nprimary: [\n")
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    code, report = diff("--base", "base", "--base-gates", "old.yaml")
    assert code == 0
    assert any("head's own gates judge" in note for note in report.notes)


def test_a_new_gate_of_the_pull_request_holds_at_once(place: Path, diff: Any) -> None:
    (place / "old.yaml").write_text(GATES)
    (place / "gates.yaml").write_text(GATES.replace("metrics:\n", "metrics:\n  accuracy: {floor: 0.999}\n"))
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    _, report = diff("--base", "base", "--base-gates", "old.yaml")
    assert outcomes(report)["accuracy", "floor"] == "fail"
