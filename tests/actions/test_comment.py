"""The verb `comment` from event to comment, over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.cli import build_parser
from gitops_ml.errors import UserError
from gitops_ml.report import Identity
from gitops_ml.runner import Runner
from gitops_ml.verbs import comment

from tests.actions import samples
from tests.actions.reading import read
from tests.fakes import troubles
from tests.fakes.forge import Forge
from tests.fakes.state import SHA, Pull, Run

BOT = "github-actions[bot]"
PACKAGE = Path(comment.__file__).parents[1]


@dataclass
class Step:
    """One step of a workflow on `forge`: what it sees, and what it left behind."""

    forge: Forge
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def after(self, run: Run, *words: str, **changes: Any) -> int:
        """Run the verb under `workflow_run` of `run`; `changes` are made to the payload's run."""
        payload = run.payload(self.forge.state.repository)
        payload["workflow_run"].update(changes)
        return self._start("workflow_run", payload, words)

    def within(self, pull: Pull, *words: str, number: int = 5) -> int:
        """Run the verb under `pull_request` of `pull`."""
        self.environ |= {"GITHUB_RUN_NUMBER": str(number), "GITHUB_RUN_ATTEMPT": "1", "GITHUB_RUN_ID": "77"}
        return self._start("pull_request", {"pull_request": pull.shown()}, words)

    def _start(self, name: str, payload: Mapping[str, object], words: tuple[str, ...]) -> int:
        event = self.folder / "event.json"
        event.write_text(json.dumps(payload), encoding="utf-8")
        environ = {
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": self.forge.state.repository,
            "GITHUB_API_URL": self.forge.api_url,
            "GITHUB_SERVER_URL": "https://forge.invalid",
            "GITHUB_TOKEN": "token",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            **self.environ,
        }
        options = build_parser("comment").parse_args(["comment", *words])
        return comment.run(options, Runner(environ, StringIO()))

    @property
    def outputs(self) -> dict[str, str]:
        lines = (self.folder / "output").read_text(encoding="utf-8").splitlines()
        return {lines[index].split("<<")[0]: lines[index + 1] for index in range(0, len(lines), 3)}

    @property
    def bodies(self) -> list[str]:
        return [each.body for each in self.forge.state.comments]


@pytest.fixture
def step(forge: Forge, tmp_path: Path) -> Step:
    return Step(forge, tmp_path)


def prepared(forge: Forge, repo: str = "octo/model", **more: Any) -> Run:
    """A pull request from `repo` and a run of it."""
    forge.state.pulls += [Pull(3, "octo/model", "other", "b2" * 20), Pull(4, repo, "topic")]
    run = Run(900, 5, repo, "topic", **more)
    forge.state.runs.append(run)
    return run


@pytest.mark.parametrize("repo", ["octo/model", "stranger/model"])
def test_the_report_of_the_run_becomes_the_comment(forge: Forge, step: Step, repo: str) -> None:
    run = prepared(forge, repo)
    forge.state.artifact(run, samples.artifact(samples.report()))
    assert step.after(run) == 0
    (body,) = step.bodies
    assert body.startswith(
        f"<!-- gitops-ml id=gitops-ml run=5 attempt=1 head={SHA} -->\n### ❌ Fails: roc_auc is".replace(
            "_", "&#95;"
        )
    )
    assert forge.state.comments[0].pull == 4
    assert step.outputs == {
        "outcome": "created",
        "comment-id": str(forge.state.comments[0].id),
        "pull-request": "4",
    }
    assert read(body).links == ["https://forge.invalid/octo/model/actions/runs/900"]


def test_the_next_push_updates_the_comment_and_a_late_older_run_does_not(forge: Forge, step: Step) -> None:
    first = prepared(forge)
    forge.state.artifact(first, samples.artifact(samples.report()))
    assert step.after(first) == 0
    second = Run(901, 6, "octo/model", "topic")
    forge.state.artifact(second, samples.artifact(samples.passing()))
    assert step.after(second) == 0
    newest = step.bodies
    assert len(newest) == 1
    assert "✅ Passes" in newest[0]
    assert step.after(first) == 0
    assert step.outputs["outcome"] == "superseded"
    assert step.bodies == newest


def test_the_artifact_cannot_choose_the_pull_request(forge: Forge, step: Step) -> None:
    run = prepared(forge, "stranger/model")
    content = samples.zipped(report_json=samples.as_json(samples.report()), pr_number="3", **{"pr.txt": "3"})
    forge.state.artifact(run, content)
    step.after(run, pull_requests=[{"number": 3}])
    assert [each.pull for each in forge.state.comments] == [4]


@pytest.mark.parametrize(
    "changes",
    [
        {"head_sha": "c3" * 20},
        {"head_branch": "elsewhere"},
        {"head_branch": None},
        {"head_repository": None},
        {"head_repository": {"full_name": "stranger/model"}},
    ],
)
def test_without_an_open_pull_request_of_that_head_nothing_is_posted(
    forge: Forge, step: Step, changes: dict[str, object]
) -> None:
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(samples.report()))
    assert step.after(run, **changes) == 0
    assert step.bodies == []
    assert step.outputs == {"outcome": "skipped"}


def test_a_server_that_ignores_the_filter_changes_nothing(forge: Forge, step: Step) -> None:
    forge.ignores_filters = True
    forge.state.pulls += [Pull(number, "x/y", f"b{number}", "d4" * 20) for number in range(100, 170)]
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(samples.report()))
    step.after(run)
    assert [each.pull for each in forge.state.comments] == [4]


@pytest.mark.parametrize(
    "other",
    [
        Pull(8, "thief/model", "topic"),
        Pull(8, "octo/model", "same-commit"),
        Pull(8, "octo/model", "topic", state="closed"),
    ],
    ids=["another repository", "another branch", "closed"],
)
def test_repository_branch_and_state_must_fit_as_well_as_the_commit(
    forge: Forge, step: Step, other: Pull
) -> None:
    forge.ignores_filters = True
    forge.state.pulls.append(other)
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(samples.report()))
    step.after(run)
    assert [each.pull for each in forge.state.comments] == [4]


def test_a_pull_request_whose_fork_is_gone_is_passed_over(forge: Forge, step: Step) -> None:
    # The description does not know that `repo` is null then, so this answer is not held against it.
    run = prepared(forge)
    shown = [Pull(8, None, "topic").shown(), {"number": 9}, "odd"]
    forge.trouble("GET", "pulls$", troubles.Answer(200, raw=json.dumps(shown).encode()))
    assert step.after(run) == 0
    assert step.outputs == {"outcome": "skipped"}


def test_a_closed_pull_request_gets_no_comment(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.pulls[-1].state = "closed"
    assert step.after(run) == 0
    assert step.bodies == []


def test_two_pull_requests_with_one_head_are_not_guessed_between(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.pulls.append(Pull(5, "octo/model", "topic"))
    forge.state.artifact(run, samples.artifact(samples.report()))
    with pytest.raises(UserError, match="4, 5 have the same head"):
        step.after(run)
    assert step.bodies == []
    assert step.after(run, pull_requests=[{"number": 5}]) == 0
    assert [each.pull for each in forge.state.comments] == [5]


def test_a_push_during_the_rendering_stops_the_post(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(samples.report()))

    def push() -> None:
        forge.state.pulls[-1].sha = "c3" * 20

    forge.meanwhile("GET", "pulls/4", push)
    assert step.after(run) == 0
    assert step.bodies == []
    assert step.outputs == {"outcome": "skipped"}


@pytest.mark.parametrize("event", ["push", "merge_group", "pull_request_target", "workflow_dispatch"])
def test_only_runs_of_pull_requests_are_commented_on(forge: Forge, step: Step, event: str) -> None:
    run = prepared(forge, event=event)
    forge.state.artifact(run, samples.artifact(samples.report()))
    assert step.after(run) == 0
    assert step.bodies == []
    assert forge.seen == []


def test_a_run_without_a_report_says_which_jobs_failed(forge: Forge, step: Step) -> None:
    jobs = [
        ("lint", "success"),
        ("train | @ada", "failure"),
        ("metric-diff", "skipped"),
        ("unit", "cancelled"),
    ]
    run = prepared(forge, conclusion="failure", jobs=jobs)
    forge.state.artifact(run, b"x", name="something-else")
    assert step.after(run) == 0
    page = read(step.bodies[0])
    assert page.heading == "❌ No report: the model of this commit was not judged"
    assert "train | @ada: failure" in page.text
    assert "unit: cancelled" in page.text
    assert "lint" not in page.text
    assert page.active == []


@pytest.mark.parametrize("how", ["expired", "of another run", "another name"])
def test_only_this_runs_own_artifact_counts(forge: Forge, step: Step, how: str) -> None:
    run = prepared(forge, jobs=[("train", "failure")])
    forge.ignores_filters = True
    forge.state.pulls[:] = forge.state.pulls[1:]
    made = forge.state.artifact(run, samples.artifact(samples.report()))
    made.expired = how == "expired"
    made.name = "gitops-ml-report-2" if how == "another name" else made.name
    if how == "of another run":
        shown = made.shown() | {"workflow_run": {"id": 1}}
        forge.trouble("GET", "artifacts", troubles.Answer(200, {"total_count": 1, "artifacts": [shown]}))
    step.after(run)
    assert "No report" in step.bodies[0]
    assert forge.requests("GET", "zip") == []


def test_of_several_attempts_the_newest_artifact_counts(forge: Forge, step: Step) -> None:
    run = prepared(forge, attempt=2)
    forge.state.artifact(run, samples.artifact(samples.report()))
    forge.state.artifact(run, samples.artifact(samples.passing()))
    step.after(run)
    assert "✅ Passes" in step.bodies[0]


@pytest.mark.parametrize("content", [b"", b"PK", samples.zipped(report_json="{}"), samples.zipped(other="x")])
def test_a_report_that_cannot_be_read_is_said_in_the_comment_and_fails_the_step(
    forge: Forge, step: Step, content: bytes
) -> None:
    run = prepared(forge)
    forge.state.artifact(run, content)
    with pytest.raises(UserError):
        step.after(run)
    assert "❌ No report" in step.bodies[0]


def test_an_artifact_that_is_too_large_is_not_even_fetched(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.artifact(run, b"x").claimed_size = 10**9
    with pytest.raises(UserError, match="1,000,000,000 bytes"):
        step.after(run)
    assert forge.requests("GET", "zip") == []


def test_a_report_on_another_commit_does_not_change_what_is_posted_where(forge: Forge, step: Step) -> None:
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(samples.report(head=Identity(commit="ffffff0"))))
    step.after(run)
    assert f"head={SHA}" in step.bodies[0]
    assert "pull request at a1a1a1a; the report names a merge of it" in read(step.bodies[0]).text


def test_within_a_pull_request_a_file_is_posted(forge: Forge, step: Step, tmp_path: Path) -> None:
    pull = Pull(4, "octo/model", "topic")
    forge.state.pulls.append(pull)
    report = tmp_path / "report.json"
    report.write_text(samples.as_json(samples.passing()), encoding="utf-8")
    assert step.within(pull, "--report", str(report)) == 0
    assert "✅ Passes" in step.bodies[0]
    with pytest.raises(UserError, match="has to be named"):
        step.within(pull)


def test_within_a_pull_request_of_a_fork_the_way_out_is_shown(
    forge: Forge, step: Step, tmp_path: Path
) -> None:
    pull = Pull(4, "stranger/model", "topic")
    forge.state.pulls.append(pull)
    report = tmp_path / "report.json"
    report.write_text(samples.as_json(samples.passing()), encoding="utf-8")
    forge.trouble("POST", "comments", troubles.READ_ONLY)
    with pytest.raises(UserError, match="from a fork") as caught:
        step.within(pull, "--report", str(report))
    assert "workflow_run:" in caught.value.fix


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GITHUB_EVENT_NAME": "push"}, "no pull request to comment on"),
        ({"GITHUB_EVENT_PATH": ""}, "not set"),
        ({"GITHUB_REPOSITORY": "../../etc"}, "full_name"),
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN"),
    ],
)
def test_a_step_that_is_set_up_wrongly_is_told_how(
    forge: Forge, step: Step, environ: dict[str, str], words: str
) -> None:
    step.environ = environ
    with pytest.raises(UserError, match=words):
        step.after(prepared(forge))


@pytest.mark.parametrize("changes", [{"id": "x"}, {"id": -1}, {"head_sha": "../x"}, {"run_number": None},
                                     {"head_repository": {"full_name": "a/b/c"}}])  # fmt: skip
def test_a_payload_that_is_not_what_github_sends_is_refused(
    forge: Forge, step: Step, changes: dict[str, object]
) -> None:
    with pytest.raises(UserError, match="workflow_run"):
        step.after(prepared(forge), **changes)
    assert forge.seen == []


def dry_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gitops_ml", "comment", "--dry-run", *words]
    # No network settings and no runner: what a laptop has.
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environ, timeout=120, check=False
    )


def test_a_dry_run_prints_the_exact_comment(forge: Forge, step: Step, tmp_path: Path) -> None:
    report = samples.report()
    (tmp_path / "report.json").write_text(samples.as_json(report), encoding="utf-8")
    printed = dry_run(tmp_path, "--report", "report.json")
    assert (printed.returncode, printed.stderr) == (0, "")
    run = prepared(forge)
    forge.state.artifact(run, samples.artifact(report))
    step.after(run)
    link = "[this run](https://forge.invalid/octo/model/actions/runs/900)"
    posted = step.bodies[0].replace(link, "this run").replace("run=5 attempt=1", "run=0 attempt=0")
    assert printed.stdout == posted


def test_a_dry_run_without_a_report_is_one_clear_error(tmp_path: Path) -> None:
    printed = dry_run(tmp_path)
    assert printed.returncode == 2
    assert printed.stderr == (
        "error: --dry-run needs a report.\ngitops-ml comment --dry-run --report report.json\n"
    )


def test_the_verb_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import gitops_ml.messages, gitops_ml.verbs.comment, sys;"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent)}
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        check=True,
        timeout=120,
    ).stdout.split()
    assert "urllib3" in loaded
    assert not {"numpy", "pyarrow", "pandas", "scipy", "yaml", "requests"} & set(loaded)
