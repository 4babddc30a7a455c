"""`gitops-ml diff` with unreadable inputs, slices, test results, other tasks and plain repositories."""

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
from gitops_ml.cli import main

from tests.actions.comparison import (
    GATES,
    classification,
    comparison,
    metric,
    metrics_of,
    outcomes,
    write_reports,
)


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


def test_a_report_that_lay_there_before_is_gone_when_this_run_ends_early(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be a file of the pull request, and the next step uploads what it finds."""
    (place / "report").mkdir()
    (place / "report" / "report.json").write_text("planted")

    def killed(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gitops_ml.verbs.diff.decide", killed)
    with pytest.raises(MemoryError):
        main(["diff", "--head", "head"])
    assert not (place / "report" / "report.json").exists()


def test_all_slice_columns_are_judged_when_none_is_named(place: Path, diff: Any) -> None:
    base, head = classification(blur=1.2), classification(blur=0.0)
    spoiled = np.where(head["site"] == "north", 1 - head["y_score"], head["y_score"])
    write_reports(place / "base", base)
    write_reports(
        place / "head", head | {"y_score": spoiled, "y_pred": np.where(spoiled > 0.5, "malignant", "benign")}
    )
    (place / "gates.yaml").write_text(GATES.replace("columns: [site]", "columns: all"))
    code, report = diff("--base", "base")
    assert code == 1
    assert outcomes(report)["roc_auc on site=north", "max_drop"] == "fail"


def test_all_slice_columns_of_predictions_without_any_are_no_rule(place: Path, diff: Any) -> None:
    plain = {name: column for name, column in classification().items() if name != "site"}
    write_reports(place / "base", plain)
    write_reports(place / "head", plain)
    (place / "gates.yaml").write_text(GATES.replace("columns: [site]", "columns: all"))
    assert diff("--base", "base")[0] == 0


def test_all_slice_columns_without_predictions_fail(place: Path, diff: Any) -> None:
    write_reports(place / "base", metrics=metrics_of(classification()))
    write_reports(place / "head", metrics=metrics_of(classification()))
    (place / "gates.yaml").write_text(GATES.replace("columns: [site]", "columns: all"))
    code, report = diff("--base", "base")
    assert code == 1
    assert any("Slices cannot be judged" in problem for problem in report.problems)
