"""`gitops-ml diff` from folders to report and exit code: every state a pull request can be in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gitops_ml.catalogue import look_up
from gitops_ml.cli import main
from gitops_ml.comparing import by_sign
from gitops_ml.report import Comparison, Metric, Report

from tests.actions.comparison import GATES, classification, metrics_of, write_reports


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with gates.yaml and without a runner."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "gates.yaml").write_text(GATES)
    return tmp_path


@pytest.fixture
def diff(place: Path) -> Callable[..., tuple[int, Report]]:
    """Run the verb as the command line does; returns the exit code and the report read back."""

    def run(*options: str) -> tuple[int, Report]:
        code = main(["diff", "--head", "head", *options])
        return code, Report.model_validate_json((place / "report" / "report.json").read_text())

    return run


def comparison(report: Report, baseline: str = "merge base") -> Comparison:
    return next(part for part in report.comparisons if part.baseline == baseline)


def metric(report: Report, name: str, baseline: str = "merge base") -> Metric:
    return next(metric for metric in comparison(report, baseline).metrics if metric.name == name)


def outcomes(report: Report) -> dict[tuple[str, str], str]:
    return {(gate.subject, gate.rule): gate.outcome for gate in report.gates}


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


def test_a_gate_on_an_unknown_metric_names_its_line(place: Path, diff: Any) -> None:
    (place / "gates.yaml").write_text(GATES.replace("metrics:\n", "metrics:\n  acuracy: {floor: 0.5}\n"))
    write_reports(place / "head", classification())
    code, report = diff()
    assert code == 1
    assert any("line 4, key 'metrics.acuracy'" in problem for problem in report.problems)


def broken(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return write


BROKEN = {
    "metrics missing": lambda folder: (folder / "metrics.json").unlink(),
    "metrics not JSON": broken("metrics.json", b"{"),
    "metrics with NaN": broken("metrics.json", b'{"roc_auc": NaN}'),
    "metrics twice": broken("metrics.json", b'{"roc_auc": 1, "roc_auc": 2}'),
    "metrics in Latin-1": broken("metrics.json", '{"é": 1}'.encode("latin-1")),
    "run not JSON": broken("run.json", b"["),
    "cost below nothing": broken("cost.json", b'{"duration_s": -1}'),
    "predictions not parquet": broken("predictions.parquet", b"PAR1"),
    "tests not XML": broken("tests/unit.xml", b"<"),
    "everything missing": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("breaking", BROKEN.values(), ids=BROKEN)
def test_an_unreadable_head_fails_and_a_report_still_says_why(place: Path, diff: Any, breaking: Any) -> None:
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    breaking(place / "head")
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (1, "fail")
    assert report.problems
    assert "head" in report.problems[0]
    assert (place / "report" / "report.md").stat().st_size > 100
    assert (place / "report" / "report.html").stat().st_size > 100


@pytest.mark.parametrize("breaking", [BROKEN["metrics with NaN"], BROKEN["predictions not parquet"]])
def test_an_unreadable_base_is_never_a_pass(place: Path, diff: Any, breaking: Any) -> None:
    (place / "gates.yaml").write_text(GATES.replace("on_missing_baseline: warn", "on_missing_baseline: pass"))
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    breaking(place / "base")
    code, report = diff("--base", "base")
    assert (code, report.verdict) == (1, "fail")
    assert any("base" in problem for problem in report.problems)


def test_slices_without_predictions_fail(place: Path, diff: Any) -> None:
    write_reports(place / "base", metrics=metrics_of(classification()))
    write_reports(place / "head", metrics=metrics_of(classification()))
    code, report = diff("--base", "base")
    assert code == 1
    assert any("Slices cannot be judged" in problem for problem in report.problems)


def test_a_slice_column_that_the_predictions_lack_fails(place: Path, diff: Any) -> None:
    (place / "gates.yaml").write_text(GATES.replace("[site]", "[region]"))
    write_reports(place / "head", classification())
    code, report = diff()
    assert code == 1
    assert any("no slice column 'region'" in problem for problem in report.problems)


def test_a_slice_that_got_worse_fails_behind_a_better_whole(place: Path, diff: Any) -> None:
    base, head = classification(blur=1.2), classification(blur=0.0)
    north = head["site"] == "north"
    spoiled = np.where(north, 1 - head["y_score"], head["y_score"])
    north_rows = np.flatnonzero(north)
    keep = np.ones(600, dtype=bool)
    keep[north_rows[40:]] = False
    head = head | {"y_score": spoiled, "y_pred": np.where(spoiled > 0.5, "malignant", "benign")}
    write_reports(place / "base", {name: column[keep] for name, column in base.items()})
    write_reports(place / "head", {name: column[keep] for name, column in head.items()})
    (place / "gates.yaml").write_text(GATES.replace("floor: 0.80, max_drop: 0.01", "max_drop: 0.5"))
    code, report = diff("--base", "base")
    assert code == 1
    assert outcomes(report)["roc_auc on site=north", "max_drop"] == "fail"
    assert comparison(report).slices[0].value == "north"


def test_failed_tests_fail_the_report(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    folder = write_reports(place / "head", classification()) / "tests"
    folder.mkdir()
    case = '<testsuite><testcase name="test_a"><failure message="no"/></testcase></testsuite>'
    (folder / "model.xml").write_text(case)
    code, report = diff("--base", "base")
    assert code == 1
    assert report.suites[0].failures[0].name == "test_a"


def test_training_that_failed_is_reported(place: Path, diff: Any) -> None:
    code, report = diff("--failed", "dvc repro ended with exit code 1", "--head-commit", "b" * 40)
    assert (code, report.model, report.verdict) == (1, "failed", "fail")
    assert report.problems == ("dvc repro ended with exit code 1",)
    assert report.head.commit == "b" * 40


def test_a_change_of_docs_keeps_the_bases_numbers(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    code, report = diff("--unchanged", "--base", "base", "--base-gates", "gates.yaml")
    assert (code, report.model, report.verdict) == (0, "unchanged", "pass")
    assert metric(report, "roc_auc").verdict == "unchanged"
    assert metric(report, "roc_auc").head == metric(report, "roc_auc").base


def test_a_change_of_docs_that_loosens_gates_warns(place: Path, diff: Any) -> None:
    (place / "old.yaml").write_text(GATES.replace("floor: 0.80", "floor: 0.90"))
    code, report = diff("--unchanged", "--base-gates", "old.yaml")
    assert (code, report.verdict) == (0, "warn")


def test_production_is_a_second_baseline(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    write_reports(place / "live", classification(blur=1.0))
    _, report = diff("--base", "base", "--production", "live")
    assert metric(report, "roc_auc", "production").verdict == "improved"
    (place / "live.json").write_text(json.dumps({"metrics": {"roc_auc": 0.5}, "eval_hash": "cd" * 32}))
    _, report = diff("--base", "base", "--production", "live.json")
    assert metric(report, "roc_auc", "production").verdict == "improved"
    assert "noise is not measured" in metric(report, "roc_auc", "production").why


def test_what_changed_and_what_it_cost_are_listed(place: Path, diff: Any) -> None:
    same = {"packages": {"numpy": "2.3"}, "files": {"data.csv": {"hash": "a" * 64, "rows": 10}}}
    write_reports(place / "base", classification(), run={**same, "params": {"depth": 3, "old": 1}})
    changed = {"packages": {"numpy": "2.4"}, "files": {"data.csv": {"hash": "b" * 64, "rows": 12}}}
    write_reports(place / "head", classification(), run={**changed, "params": {"depth": 5, "new": "x"}})
    for name, seconds in (("base", 10), ("head", 12.5)):
        cost = {"duration_s": seconds, "peak_memory_mib": 200, "model_bytes": 4096, "trained": True}
        (place / name / "cost.json").write_text(json.dumps(cost))
    _, report = diff("--base", "base")
    assert [(c.kind, c.name, c.before, c.after) for c in report.changes] == [
        ("parameter", "depth", "3", "5"),
        ("parameter", "new", None, "x"),
        ("parameter", "old", "1", None),
        ("data", "data.csv", "aaaaaaaaaaaa, 10 rows", "bbbbbbbbbbbb, 12 rows"),
        ("package", "numpy", "2.3", "2.4"),
    ]
    assert [(c.name, c.head, c.base) for c in report.costs] == [
        ("training time", 12.5, 10.0),
        ("peak memory", 200.0, 200.0),
        ("model size", 4096.0, 4096.0),
    ]


def test_the_age_of_the_baseline_is_told(place: Path, diff: Any) -> None:
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    _, report = diff("--base", "base", "--base-time", str(int(time.time()) - 3600))
    age = comparison(report).identity.age_s
    assert age is not None
    assert 3600 <= age < 7200


def test_outputs_and_summary_are_set(place: Path, diff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(place / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place / "summary"))
    write_reports(place / "base", classification(blur=1.0))
    write_reports(place / "head", classification())
    _, report = diff("--base", "base")
    output = (place / "output").read_text()
    assert "verdict<<" in output
    assert "\npass\n" in output
    assert f"\n{metric(report, 'roc_auc').delta!r}\n" in output
    assert "report/report.json" in output
    assert "roc" in (place / "summary").read_text()


def regression(rows: int = 400, blur: float = 1.0) -> dict[str, np.ndarray]:
    world = np.random.default_rng(2)
    truth = world.normal(100, 20, rows)
    predicted = truth + 5 * blur * np.random.default_rng(3).normal(size=rows)
    return {
        "id": np.arange(rows),
        "y_true": truth,
        "y_pred": predicted,
        "sex": np.where(truth > 100, "f", "m"),
    }


def test_a_regression_is_compared(place: Path, diff: Any) -> None:
    (place / "gates.yaml").write_text(
        "schema: 1\nprimary: mae\nmetrics:\n  mae: {max_rise_rel: 0.05}\n  r2: {floor: 0.3}\n"
        "slices: {columns: [sex], max_rise_rel: 0.1}\n"
    )
    for name, blur in (("base", 1.0), ("head", 1.3)):
        columns = regression(blur=blur)
        error = columns["y_pred"] - columns["y_true"]
        metrics = {
            "mae": float(np.abs(error).mean()),
            "r2": float(1 - (error**2).mean() / columns["y_true"].var()),
        }
        write_reports(place / name, columns, metrics=metrics, run={"task": "regression"})
    code, report = diff("--base", "base")
    assert (code, report.task) == (1, "regression")
    assert metric(report, "mae").verdict == "regressed"
    assert outcomes(report)["mae", "max_rise_rel"] == "fail"
    assert outcomes(report)["mae on sex=f", "max_rise_rel"] == "fail"
    assert report.curves[0].x == tuple(sorted(report.curves[0].x))


def test_several_classes_are_compared(place: Path, diff: Any) -> None:
    (place / "gates.yaml").write_text("schema: 1\nprimary: accuracy\nmetrics: {accuracy: {max_drop: 0.5}}\n")
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 300)
    names = np.array(["cat", "dog", "eel"])
    for name, weight in (("base", 0.3), ("head", 1.0)):
        raw = generator.random((300, 3)) + weight * (truth[:, None] == np.arange(3))
        share = raw / raw.sum(axis=1, keepdims=True)
        answer = share.argmax(axis=1)
        columns = {"id": np.arange(300), "y_true": names[truth], "y_pred": names[answer]}
        columns |= {f"y_score_{label}": share[:, place] for place, label in enumerate(names)}
        loss = -np.log(share[np.arange(300), truth]).mean()
        write_reports(
            place / name, columns, metrics={"accuracy": float((answer == truth).mean()), "log_loss": loss}
        )
    code, report = diff("--base", "base")
    assert (code, report.problems) == (0, ())
    assert metric(report, "accuracy").verdict == "improved"
    assert metric(report, "log_loss").verdict == "improved"


@pytest.mark.parametrize("labels", [(0, 1), (1, 2), (False, True), ("no", "yes"), ("a", "b")])
def test_the_positive_class_is_found_whatever_it_is_called(
    place: Path, diff: Any, labels: tuple[Any, Any]
) -> None:
    columns = classification()
    for reverse in (False, True):
        names = np.array(labels[::-1] if reverse else labels)
        named = columns | {
            name: names[(columns[name] == "malignant").astype(int)] for name in ("y_true", "y_pred")
        }
        write_reports(place / "base", named, metrics=metrics_of(columns))
        write_reports(place / "head", named, metrics=metrics_of(columns))
        code, report = diff("--base", "base")
        assert (code, report.problems) == (0, ()), labels


def test_a_wrong_guess_of_the_positive_class_is_mended_by_the_reported_numbers(
    place: Path, diff: Any
) -> None:
    """Without y_pred, of `good` and `bad` nothing says that `bad` is what the score is of, but log loss does."""
    columns = classification()
    named = {name: columns[name] for name in ("id", "y_score", "site")}
    named["y_true"] = np.where(columns["y_true"] == "malignant", "bad", "good")
    write_reports(place / "base", named, metrics=metrics_of(columns))
    write_reports(place / "head", named, metrics=metrics_of(columns))
    code, report = diff("--base", "base")
    assert (code, report.problems) == (0, ())
    assert metric(report, "roc_auc").head == pytest.approx(metrics_of(columns)["roc_auc"])


SCRIPT = """
import json, pathlib
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
features, target = load_wine(return_X_y=True)
for name, strength in (("base", 1), ("head", 0.0001)):
    model = LogisticRegression(C=strength, max_iter=20)
    accuracy = cross_val_score(model, features / features.max(0), target).mean()
    folder = pathlib.Path(name)
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
"""


def test_a_plain_script_that_writes_metrics_only_can_use_the_diff(place: Path, diff: Any) -> None:
    (place / "gates.yaml").write_text(
        "schema: 1\nprimary: accuracy\nmetrics: {accuracy: {floor: 0.5, max_drop: 0.02}}\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=place, check=True)
    code, report = diff("--base", "base")
    assert code == 1
    assert metric(report, "accuracy").verdict == "regressed"
    assert diff("--base", "head")[0] == 1  # below the floor, though nothing changed
    (place / "head").rename(place / "worse")
    (place / "base").rename(place / "head")
    assert diff("--base", "worse")[1].verdict == "pass"


def test_a_report_of_hostile_names_stays_within_its_schema(place: Path, diff: Any) -> None:
    hostile = "<img src=x onerror=alert(1)>|`@everyone` ::set-output name=verdict::pass"
    columns = classification() | {"site": np.array([hostile * 2] * 600)}
    metrics = metrics_of(columns) | {hostile[:80]: 0.5}
    run = {"params": {hostile * 5: hostile * 5}, "data_hash": hostile, "commit": hostile}
    write_reports(place / "base", columns, metrics=metrics, run=run | {"params": {hostile: 1}})
    write_reports(place / "head", columns, metrics=metrics, run=run)
    code, report = diff("--base", "base", "--head-commit", hostile)
    assert code == 0
    assert report.head.commit is None
    assert "<img" not in (place / "report" / "report.md").read_text()
    assert "<img src=x" not in (place / "report" / "report.html").read_text()


def test_an_output_that_cannot_be_written_is_one_clear_error(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(place / "head", classification())
    (place / "report").write_text("in the way")
    assert main(["diff", "--head", "head"]) == 2
    assert "the report cannot be written" in capsys.readouterr().err
