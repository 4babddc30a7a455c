"""`gitops-ml comment`: post a run's report as the one sticky comment of its pull request.

Under `workflow_run` this is the trusted side: it takes the numbers of the run and nothing else, and renders them
itself. Under `pull_request` it posts a report that the same job made, which works for branches but not for forks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_ml.errors import UserError
from gitops_ml.events import (
    Event,
    PullRequest,
    WorkflowRun,
    find_pull_request,
    read_event,
    still_head,
)
from gitops_ml.github import GitHub
from gitops_ml.runner import Runner
from gitops_ml.sticky import Marker, Sticky, author_id
from gitops_ml.touched import judges_of_its_own

if TYPE_CHECKING:
    # Loaded only after the first request: the schema of the report takes longer than everything before it.
    from gitops_ml.messages import Message

ARTIFACT = "gitops-ml-report"
STICKY_ID = "gitops-ml"
# The account that GITHUB_TOKEN writes as.
AUTHOR = "github-actions[bot]"


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
    github = GitHub.of_job(runner.environ, event.from_fork)
    if event.run is not None:
        return _after_run(options, runner, github, event, event.run)
    if event.pull_request is not None:
        return _within_run(options, runner, github, event, event.pull_request)
    raise UserError(f"The event {event.name} is about no pull request.")


def _print(options: argparse.Namespace) -> int:
    if options.report is None:
        raise UserError("--dry-run needs a report.", "gitops-ml comment --dry-run --report report.json")
    from gitops_ml.messages import of_file

    message = of_file(options.report)
    sys.stdout.write(f"{Marker(options.id, 0, 0, message.head or '0' * 40)}\n{message.text}")
    return 0


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
    from gitops_ml.markdown import Context
    from gitops_ml.messages import of_run

    own_judges = judges_of_its_own(github, event.repository, pull.number)
    context = Context(_run_url(runner, event.repository, run.id), run.head_sha, own_judges)
    message = of_run(github, event.repository, run, options.artifact, context)
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
    from gitops_ml.messages import of_file

    message = of_file(options.report, _run_url(runner, event.repository, run_id), pull.head.sha)
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


def _run_url(runner: Runner, repository: str, run_id: int) -> str:
    server = runner.environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    return f"{server}/{repository}/actions/runs/{run_id}"
