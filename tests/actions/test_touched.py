"""A pull request that changes the workflows and actions which judge it: the comment says so, from the API."""

from __future__ import annotations

import pytest

from tests.actions import samples
from tests.actions.reading import read
from tests.actions.test_comment import Step, prepared, step
from tests.fakes import troubles
from tests.fakes.forge import Forge

__all__ = ["step"]

JUDGES = [
    ".github/workflows/pull-request.yml",
    "docs/x < .github/actions/launch",
    "src/.github/workflows/x.yml",
]


def test_a_pull_request_that_changes_its_own_judges_is_said_to(forge: Forge, step: Step) -> None:
    """By the trusted side, from the API: the report could have been made by anything."""
    run = prepared(forge)
    forge.state.pulls[1].files = ["params.yaml", *[f"a/{number}" for number in range(60)], *JUDGES]
    forge.state.artifact(run, samples.artifact(samples.passing()))
    assert step.after(run) == 0
    (body,) = step.bodies
    assert "changes what measures and judges it" in body
    shown = read(body).text
    assert ".github/workflows/pull-request.yml" in shown
    assert ".github/actions/launch" in shown
    assert "src/.github" not in shown


def test_a_pull_request_without_a_report_is_said_to_change_its_judges_too(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.pulls[1].files = [".github/workflows/<img src=x>.yml"]
    assert step.after(run) == 0
    (body,) = step.bodies
    assert "changes what measures and judges it" in body
    assert "<img" not in body


def test_one_that_leaves_them_alone_is_not_accused(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.pulls[1].files = ["params.yaml", ".github/CODEOWNERS"]
    forge.state.artifact(run, samples.artifact(samples.passing()))
    assert step.after(run) == 0
    assert "CAUTION" not in step.bodies[0]


@pytest.mark.parametrize("how", ["too many files", "no such list"])
def test_when_nobody_knows_what_it_changes_that_is_said(forge: Forge, step: Step, how: str) -> None:
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(samples.passing()))
    if how == "too many files":
        forge.state.pulls[1].files = [f".a/{number}" for number in range(3000)]
    else:
        forge.trouble("GET", r"/files$", troubles.NOT_FOUND)
    assert step.after(run) == 0
    assert "could not be found out" in step.bodies[0]
