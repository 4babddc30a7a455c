"""`gitops-ml comment`: post a run's report as the one sticky comment of its pull request.

Under `workflow_run` this is the trusted side: it takes the numbers of the run and nothing else, and renders them
itself. Under `pull_request` it posts a report that the same job made, which works for branches but not for forks.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_ml.artifact import MAX_REPORT_BYTES, MAX_ZIP_BYTES, parse_report, report_from_zip
from gitops_ml.errors import UserError
from gitops_ml.events import (
    Event,
    PullRequest,
    WorkflowRun,
    find_pull_request,
    read_event,
    repo_path,
    still_head,
)
from gitops_ml.github import GitHub
from gitops_ml.inputs import decode, read_bytes
from gitops_ml.markdown import Context, render_comment, render_missing, render_short
from gitops_ml.report import Report
from gitops_ml.runner import Runner
from gitops_ml.sticky import Marker, Sticky, author_id

ARTIFACT = "gitops-ml-report"
STICKY_ID = "gitops-ml"
# The account that GITHUB_TOKEN writes as.
AUTHOR = "github-actions[bot]"


@dataclass(frozen=True)
class Message:
    """The text to post, a short form of it, and an error to end with although it was posted."""

    text: str
    short: str
    error: UserError | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="report.json to post, instead of the run's artifact"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the exact comment and post nothing")
    parser.add_argument(
        "--artifact", default=ARTIFACT, metavar="NAME", help=f"artifact to take (default {ARTIFACT})"
    )
    parser.add_argument(
        "--id", default=STICKY_ID, help=f"which sticky comment to write (default {STICKY_ID})"
    )
    parser.add_argument(
        "--author",
        default=AUTHOR,
        metavar="LOGIN",
        help=f"account that the token writes as (default {AUTHOR})",
    )


def run(options: argparse.Namespace, runner: Runner) -> int:
    """Post or print; 0 also when there is nothing to do, such as for a commit that is no longer the head."""
    if options.dry_run:
        return _print(options)
    event = read_event(runner.environ)
    github = GitHub(
        runner.environ.get("GITHUB_API_URL", "https://api.github.com"),
        runner.environ.get("GITHUB_TOKEN", ""),
        event.from_fork,
    )
    if event.run is not None:
        return _after_run(options, runner, github, event, event.run)
    if event.pull_request is not None:
        return _within_run(options, runner, github, event, event.pull_request)
    raise UserError(f"The event {event.name} is about no pull request.")


def _print(options: argparse.Namespace) -> int:
    if options.report is None:
        raise UserError("--dry-run needs a report.", "gitops-ml comment --dry-run --report report.json")
    report = _read_report(options.report)
    marker = Marker(options.id, 0, 0, report.head.commit or "0" * 40)
    sys.stdout.write(f"{marker}\n{render_comment(report)}")
    return 0


def _read_report(path: Path) -> Report:
    return parse_report(decode(read_bytes(path, MAX_REPORT_BYTES), path), path)


def _after_run(
    options: argparse.Namespace, runner: Runner, github: GitHub, event: Event, run: WorkflowRun
) -> int:
    if run.event != "pull_request":
        return _skip(
            runner, f"The run was started by {run.event}, not by a pull request, so there is no comment."
        )
    marker = Marker(options.id, run.run_number, run.run_attempt, run.head_sha)
    pull = find_pull_request(github, event.repository, run)
    if pull is None:
        return _skip(
            runner, f"No open pull request has {run.head_sha[:7]} as its head any more: nothing to post."
        )
    context = Context(_run_url(runner, event.repository, run.id), run.head_sha)
    message = _message(options, github, event.repository, run, context)
    return _publish(options, runner, github, event.repository, pull, marker, message)


def _within_run(
    options: argparse.Namespace, runner: Runner, github: GitHub, event: Event, pull: PullRequest
) -> int:
    if options.report is None:
        raise UserError(
            "Under pull_request the report has to be named.",
            "    with:\n      report: reports/report.json\n\nor post it from a workflow on workflow_run.",
        )
    numbers = [
        runner.environ.get(name, "") for name in ("GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT", "GITHUB_RUN_ID")
    ]
    if not all(number.isdecimal() for number in numbers):
        raise UserError("GITHUB_RUN_NUMBER, GITHUB_RUN_ATTEMPT and GITHUB_RUN_ID are not all set.")
    run_number, attempt, run_id = map(int, numbers)
    report = _read_report(options.report)
    context = Context(_run_url(runner, event.repository, run_id), pull.head.sha)
    message = Message(render_comment(report, context), render_short(report, context))
    marker = Marker(options.id, run_number, attempt, pull.head.sha)
    return _publish(options, runner, github, event.repository, pull, marker, message)


def _publish(
    options: argparse.Namespace,
    runner: Runner,
    github: GitHub,
    repository: str,
    pull: PullRequest,
    marker: Marker,
    message: Message,
) -> int:
    author = author_id(github, options.author)
    # Asked as late as possible: a push during the run makes the numbers those of an older commit.
    if not still_head(github, repository, pull):
        return _skip(
            runner, f"{marker.head[:7]} is no longer the head of pull request {pull.number}: nothing posted."
        )
    posted = Sticky(github, repository, pull.number, author).publish(marker, message.text, message.short)
    runner.output("outcome", posted.outcome)
    runner.output("comment-id", str(posted.number))
    runner.output("pull-request", str(pull.number))
    sys.stdout.write(f"Comment {posted.number} of pull request {pull.number}: {posted.outcome}.\n")
    if message.error is not None:
        raise message.error
    return 0


def _skip(runner: Runner, why: str) -> int:
    runner.annotate("notice", why)
    runner.output("outcome", "skipped")
    return 0


def _message(
    options: argparse.Namespace, github: GitHub, repository: str, run: WorkflowRun, context: Context
) -> Message:
    """The comment on what the run left behind: its report, or that there is none and which jobs failed."""
    path = f"{repo_path(repository)}/actions/runs/{run.id}"
    number = _artifact_number(github, path, options.artifact, run.id)
    if number is None:
        jobs = [_job(item) for item in github.pages(f"{path}/attempts/{run.run_attempt}/jobs", key="jobs")]
        text = render_missing(run.conclusion or "unknown", [job for job in jobs if job], context)
        return Message(text, text)
    content = github.download(f"{repo_path(repository)}/actions/artifacts/{number}/zip", MAX_ZIP_BYTES)
    try:
        report = report_from_zip(content)
    except UserError as error:
        text = render_missing(run.conclusion or "unknown", [], context, error.message)
        return Message(text, text, error)
    return Message(render_comment(report, context), render_short(report, context))


def _artifact_number(github: GitHub, path: str, name: str, run_id: int) -> int | None:
    """The newest artifact of this run with exactly this name; a run that was started again may have several."""
    numbers = []
    for item in github.pages(f"{path}/artifacts", key="artifacts", name=name):
        if not isinstance(item, dict) or item.get("name") != name or item.get("expired"):
            continue
        made_by = item.get("workflow_run")
        if isinstance(made_by, dict) and made_by.get("id") not in (None, run_id):
            continue
        size = item.get("size_in_bytes")
        if isinstance(size, int) and size > MAX_ZIP_BYTES:
            raise UserError(f"The artifact {name} has {size:,} bytes; at most {MAX_ZIP_BYTES:,} are read.")
        if isinstance(item.get("id"), int):
            numbers.append(int(item["id"]))
    return max(numbers, default=None)


def _job(item: Any) -> tuple[str, str] | None:
    """Name and conclusion of a job that did not succeed."""
    if not isinstance(item, dict) or item.get("conclusion") in ("success", "skipped", "neutral"):
        return None
    return str(item.get("name", "")), str(item.get("conclusion") or item.get("status") or "unknown")


def _run_url(runner: Runner, repository: str, run_id: int) -> str:
    server = runner.environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    return f"{server}/{repository}/actions/runs/{run_id}"
