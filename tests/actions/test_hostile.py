"""The hostile corpus through the real doors: each case ends as one clear error or as text that does nothing."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from gitops_ml.artifact import parse_report, report_from_zip
from gitops_ml.errors import UserError
from gitops_ml.events import WorkflowRun, find_pull_request
from gitops_ml.gates import load_gates
from gitops_ml.github import GitHub
from gitops_ml.html import render_html
from gitops_ml.junit import read_suites
from gitops_ml.markdown import Context, render_comment, render_missing, render_summary
from gitops_ml.predictions import read_predictions
from gitops_ml.report import Report
from gitops_ml.reports import read_reports
from gitops_ml.runner import Runner
from gitops_ml.sticky import Marker, read_marker

from tests.actions import samples
from tests.actions.hostile import makers
from tests.actions.reading import Page, read, read_html
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.state import SHA, Pull

CORPUS = yaml.safe_load((Path(__file__).parent / "hostile" / "corpus.yaml").read_text(encoding="utf-8"))
TEXTS = [
    pytest.param(text, id=f"{kind}-{ascii(text)[1:50]}")
    for kind, texts in CORPUS["texts"].items()
    for text in texts
]
CONTEXT = Context("https://forge.invalid/octo/model/actions/runs/7", SHA)
DOORS = ("metrics_json", "report_json", "gates_yaml", "junit_xml")


def whole_contents(door: str) -> list[Any]:
    return [pytest.param(text, id=ascii(text)[1:70]) for text in CORPUS[door]]


def clear(error: UserError) -> None:
    """A clear error is short, in one piece, and does not repeat what was hostile about the file."""
    assert 10 < len(error.message) < 1000
    assert error.message.isprintable()
    assert "Traceback" not in error.message


def test_the_corpus_has_at_least_200_cases_and_none_twice() -> None:
    texts = [text for texts in CORPUS["texts"].values() for text in texts]
    files = [(door, text) for door in DOORS for text in CORPUS[door]]
    made = [*makers.METRICS, *makers.PREDICTIONS, *makers.ZIPS]
    assert len(set(texts)) == len(texts)
    assert len(set(files)) == len(files)
    assert len(texts) >= 200
    assert len(files) + len(made) >= 100


def full_of(text: str) -> Report:
    """A report with `text` in every place that takes text."""
    name, value, long = text[:80], text[:80], text[:200]
    metrics = [
        {"name": name, "verdict": "regressed", "head": 0.5, "base": 0.6, "delta": -0.1, "why": text},
        {"name": name, "verdict": "not comparable", "head": 0.5, "why": text},
    ]
    slices = [
        {"column": name, "value": value, "rows": 3, "metric": metrics[0]},
        {"column": name, "value": value, "rows": 4, "metric": metrics[0]},
    ]
    curve = {"title": name, "x_label": name, "y_label": name, "x": [0, 1], "head": [0, 1], "base": [1, 0]}
    outcomes = ("pass", "warn", "fail", "waived")
    kinds = ("parameter", "data", "package", "gate")
    content = {
        "schema": 1,
        "verdict": "fail",
        "model": "trained",
        "primary": name,
        "comparisons": [
            {"baseline": "merge base", "available": True, "rows": 5, "metrics": metrics, "slices": slices},
            {"baseline": "production", "available": False, "reason": text},
        ],
        "gates": [
            {"subject": long, "rule": name, "outcome": outcome, "message": text} for outcome in outcomes
        ],
        "suites": [
            {
                "name": name,
                "passed": 1,
                "failed": 1,
                "skipped": 0,
                "failures": [{"name": long, "message": text}],
            }
        ],
        "costs": [{"name": name, "unit": "s", "head": 1, "base": 2}],
        "changes": [
            {"kind": kind, "name": long, "before": long, "after": long, "loosens": kind == "gate"}
            for kind in kinds
        ],
        "curves": [curve],
        "problems": [text, text],
        "notes": [text],
    }
    # Through the door that the trusted side reads: JSON text.
    return parse_report(json.dumps(content), Path("report.json"))


@cache
def harmless() -> tuple[Page, Page]:
    report = full_of("x")
    return read(render_comment(report, CONTEXT)), read_html(render_html(report, {"x": b"<svg></svg>"}))


def without_spans(page: Page) -> dict[str, int]:
    """Elements but `span`, in which a dollar stands so that it is no mathematics."""
    return {name: count for name, count in page.elements.items() if name != "span"}


@pytest.mark.parametrize("text", TEXTS)
def test_text_in_every_place_of_a_report_is_inert(text: str) -> None:
    report = full_of(text)
    comment = render_comment(report, CONTEXT)
    page, plain = read(comment), harmless()[0]
    assert without_spans(page) == without_spans(plain)
    assert page.attributes == plain.attributes
    assert page.links == [CONTEXT.run_url]
    assert page.active == []
    assert [list(map(len, table)) for table in page.tables] == [
        list(map(len, table)) for table in plain.tables
    ]
    assert read_marker(comment) is None
    assert render_summary(report, CONTEXT) == comment


@pytest.mark.parametrize("text", TEXTS)
def test_text_in_every_place_of_the_page_is_inert(text: str) -> None:
    page, plain = read_html(render_html(full_of(text), {text: b"<svg></svg>"})), harmless()[1]
    assert page.elements == plain.elements
    assert page.attributes == plain.attributes
    assert {link.split(",")[0] for link in page.links} == {link.split(",")[0] for link in plain.links}


@pytest.mark.parametrize("text", TEXTS)
def test_text_as_the_name_of_a_failed_job_is_inert(text: str) -> None:
    page = read(render_missing(text, [(text, text)], CONTEXT, text))
    plain = read(render_missing("x", [("x", "x")], CONTEXT, "x"))
    assert without_spans(page) == without_spans(plain)
    assert page.active == []
    assert page.links == [CONTEXT.run_url]


@pytest.mark.parametrize("text", TEXTS)
def test_text_as_the_name_of_a_metric_is_refused_or_inert(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({text: 0.5}), encoding="utf-8")
    try:
        names = list(read_reports(tmp_path).metrics)
    except UserError as error:
        clear(error)
        return
    assert names == [text]
    assert not [character for character in text if unicodedata.category(character)[0] == "C"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_cannot_forge_outputs_or_log_commands(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StringIO()
    monkeypatch.setattr("sys.stdout", log)
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    runner = Runner({"GITHUB_ACTIONS": "true", **files}, log)
    runner.output("verdict", text)
    runner.annotate("notice", text)
    runner.fail(UserError(f"Bad {text}", text))
    assert runner_outputs(tmp_path / "GITHUB_OUTPUT") == {
        "verdict": text.replace("\r\n", "\n").replace("\r", "\n")
    }
    commands = [line for line in log.getvalue().replace("\r", "\n").split("\n") if line]
    assert [line.split("::")[1] for line in commands] == ["notice", "error"]
    page = read((tmp_path / "GITHUB_STEP_SUMMARY").read_text(encoding="utf-8"))
    assert set(page.elements) <= {"h3", "pre", "code"}


def runner_outputs(path: Path) -> dict[str, str]:
    """The outputs as a runner reads them: name, delimiter, lines up to the delimiter."""
    found, lines = {}, iter(_lines(path))
    for line in lines:
        name, delimiter = line.split("<<", 1)
        value = []
        for inside in lines:
            if inside == delimiter:
                break
            value.append(inside)
        found[name] = "\n".join(value)
    return found


def _lines(path: Path) -> list[str]:
    content = path.read_bytes().decode().replace("\r\n", "\n").replace("\r", "\n")
    return content.removesuffix("\n").split("\n")


@pytest.fixture(scope="module")
def quiet_forge(contract: Contract | None) -> Iterator[Forge]:
    with Forge(contract) as forge:
        forge.state.pulls.append(Pull(4, "octo/model", "topic"))
        yield forge


@pytest.mark.parametrize("text", TEXTS)
def test_text_as_a_branch_reaches_the_api_as_one_value(text: str, quiet_forge: Forge) -> None:
    run = WorkflowRun.model_validate(
        {
            "id": 1,
            "run_number": 1,
            "event": "pull_request",
            "head_sha": SHA,
            "head_branch": text,
            "head_repository": {"full_name": "octo/model"},
        }
    )
    pull = Pull(5, "octo/model", text, title=text)
    quiet_forge.state.pulls[1:] = [pull]
    quiet_forge.seen.clear()
    found = find_pull_request(GitHub(quiet_forge.api_url, "token"), "octo/model", run)
    assert found is not None
    assert found.number == 5
    assert [seen.path for seen in quiet_forge.seen] == ["/repos/octo/model/pulls"]
    assert quiet_forge.violations == []


def test_texts_as_slice_values_come_through_or_are_refused(tmp_path: Path) -> None:
    texts = [text for texts in CORPUS["texts"].values() for text in texts]
    path = tmp_path / "predictions.parquet"
    ids = list(range(len(texts)))
    pq.write_table(pa.table({"id": ids, "y_true": ids, "y_pred": ids, "group": texts}), path)
    try:
        assert read_predictions(path, ["group"]).rows == len(texts)
    except UserError as error:
        clear(error)


@pytest.mark.parametrize("content", whole_contents("metrics_json"))
def test_hostile_metrics_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_reports(tmp_path)
    clear(caught.value)


@pytest.mark.parametrize("content", whole_contents("report_json"))
def test_hostile_reports_are_refused(content: str) -> None:
    with pytest.raises(UserError) as caught:
        report_from_zip(samples.zipped(report_json=content))
    clear(caught.value)


@pytest.mark.parametrize("content", whole_contents("gates_yaml"))
def test_hostile_gates_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_gates(path)
    clear(caught.value)


@pytest.mark.parametrize("content", whole_contents("junit_xml"))
def test_hostile_test_results_are_never_a_pass(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "data.xml").write_text(content, encoding="utf-8")
    try:
        suites = read_suites(folder)
    except UserError as error:
        clear(error)
        return
    assert any(suite.failed for suite in suites)


@pytest.mark.parametrize("case", makers.METRICS)
def test_hostile_metrics_files_are_refused(case: str, tmp_path: Path) -> None:
    makers.METRICS[case](tmp_path)
    with pytest.raises(UserError) as caught:
        read_reports(tmp_path)
    clear(caught.value)


@pytest.mark.parametrize("case", makers.PREDICTIONS)
def test_hostile_predictions_are_refused(case: str, tmp_path: Path) -> None:
    makers.PREDICTIONS[case](tmp_path)
    (tmp_path / "metrics.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_predictions(read_reports(tmp_path).predictions or tmp_path, [])
    clear(caught.value)


@pytest.mark.parametrize("case", makers.ZIPS)
def test_hostile_artifacts_are_refused(case: str) -> None:
    with pytest.raises(UserError) as caught:
        report_from_zip(makers.ZIPS[case])
    clear(caught.value)


def test_the_doors_are_open_for_what_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"a": 1}', encoding="utf-8")
    assert read_reports(tmp_path).metrics == {"a": 1.0}
    assert report_from_zip(samples.artifact(samples.report())) == samples.report()
    pq.write_table(
        pa.table({"id": [1, 2], "y_true": [0, 1], "y_pred": [0, 1]}), tmp_path / "predictions.parquet"
    )
    assert read_predictions(tmp_path / "predictions.parquet").rows == 2
    gates = tmp_path / "gates.yaml"
    gates.write_text("schema: 1\nprimary: a\nmetrics: {a: {direction: higher}}", encoding="utf-8")
    load_gates(gates)
    assert read_marker(f"{Marker('gitops-ml', 1, 1, SHA)}\nx") is not None


def test_the_judge_sees_what_is_not_inert() -> None:
    for source in ("@octocat", "#12", "www.x.y", "![a](b)", "<b>x</b>", "[a](b)", "\u202e", "a@b.c"):
        page = read(f"| a |\n| --- |\n| {source} |")
        assert page.active or page.links or set(page.elements) - {"table", "thead", "tbody", "tr", "th", "td"}
