"""The one required check: green only when every job succeeded or was not needed, says a job that succeeded."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.errors import UserError
from gitops_ml.needs import RESULTS, judge, parse_needs

from tests.actions.launching import files_of, launch


def needs(*, excuse: str | None = None, scope: str = "success", **results: str) -> str:
    outputs = {} if excuse is None else {"not-needed": excuse}
    jobs: dict[str, Any] = {"scope": {"result": scope, "outputs": outputs}}
    jobs |= {name: {"result": result, "outputs": {}} for name, result in results.items()}
    return json.dumps(jobs)


def passes(text: str) -> bool:
    return all(finding.passed for finding in judge(parse_needs(text)))


def test_all_jobs_succeeded() -> None:
    assert passes(needs(lint="success", train="success"))


@pytest.mark.parametrize("result", [result for result in RESULTS if result != "success"])
def test_any_other_result_is_red(result: str) -> None:
    assert not passes(needs(lint="success", train=result))
    assert not passes(needs(lint=result, train="success", excuse="train"))


def test_skipped_and_not_needed_is_green() -> None:
    assert passes(needs(lint="skipped", train="skipped", excuse="lint train"))


@pytest.mark.parametrize("excuse", ["", "lint", "train-base", "trainer", "TRAIN", "lint,train"])
def test_an_excuse_counts_for_the_named_job_only(excuse: str) -> None:
    assert not passes(needs(train="skipped", excuse=excuse))


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_a_job_that_ran_is_not_excused(result: str) -> None:
    assert not passes(needs(train=result, excuse="train"))


@pytest.mark.parametrize("scope", [result for result in RESULTS if result != "success"])
def test_a_job_that_did_not_succeed_excuses_nobody(scope: str) -> None:
    assert not passes(needs(train="skipped", scope=scope, excuse="train scope"))


def test_every_combination_of_three_jobs() -> None:
    """By exhaustion: green means success, or skipped with the excuse of a job that succeeded."""
    for scope, lint, train in itertools.product(RESULTS, repeat=3):
        for excuse in ("", "lint", "train", "lint train"):
            excused = excuse.split() if scope == "success" else []
            expected = scope == "success" and all(
                result == "success" or (result == "skipped" and name in excused)
                for name, result in (("lint", lint), ("train", train))
            )
            assert passes(needs(scope=scope, lint=lint, train=train, excuse=excuse)) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        "[]",
        "not json",
        "[" * 100_000,
        '{"lint": null}',
        '{"lint": "success"}',
        '{"lint": {}}',
        '{"lint": {"result": ""}}',
        '{"lint": {"result": null}}',
        '{"lint": {"result": "Success"}}',
        '{"lint": {"result": ["success"]}}',
        '{"lint": {"result": "neutral"}}',
    ],
)
def test_what_is_not_a_result_is_an_error(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_needs(text)
    assert "toJSON(needs)" in caught.value.fix


@pytest.mark.parametrize("outputs", [None, [], "x", {"not-needed": None}, {"not-needed": ["train"]}])
def test_odd_outputs_excuse_nobody(outputs: Any) -> None:
    jobs = {"scope": {"result": "success", "outputs": outputs}, "train": {"result": "skipped"}}
    assert not passes(json.dumps(jobs))


def run(tmp_path: Path, text: str | None) -> tuple[int, dict[str, str], str, str]:
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    environ = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    if text is not None:
        environ["GITOPS_ML_NEEDS"] = text
    done = launch(tmp_path, tmp_path / "runner", "none", "gate", environ=environ)
    said = done.stdout + done.stderr
    return done.returncode, files_of(outputs) if outputs.exists() else {}, summary.read_text(), said


def test_the_verb_is_green(tmp_path: Path) -> None:
    code, outputs, summary, _ = run(tmp_path, needs(train="skipped", excuse="train"))
    assert (code, outputs["passed"]) == (0, "true")
    assert "| train | skipped | not needed, says scope |" in summary


def test_the_verb_is_red_and_names_the_job(tmp_path: Path) -> None:
    code, outputs, _, said = run(tmp_path, needs(lint="success", train="failure"))
    assert (code, outputs["passed"]) == (1, "false")
    assert "error: train: ended with failure" in said


@pytest.mark.parametrize("text", [None, "{}"])
def test_the_verb_without_results_is_red(tmp_path: Path, text: str | None) -> None:
    code, _, summary, said = run(tmp_path, text)
    assert code == 2
    assert "toJSON(needs)" in said
    assert "This step failed" in summary
