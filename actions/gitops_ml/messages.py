"""What to say about a run: its report, or that there is none and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_ml.artifact import MAX_REPORT_BYTES, MAX_ZIP_BYTES, parse_report, report_from_zip
from gitops_ml.errors import UserError
from gitops_ml.events import WorkflowRun
from gitops_ml.github import GitHub, repo_path
from gitops_ml.inputs import decode, read_bytes
from gitops_ml.markdown import Context, render_comment, render_missing, render_short
from gitops_ml.report import Report

_SUCCEEDED = ("success", "skipped", "neutral")


@dataclass(frozen=True)
class Message:
    """The text to post, a short form of it, and an error to end with although it was posted."""

    text: str
    short: str
    error: UserError | None = None
    head: str = ""  # commit that the report names


def of_file(path: Path, run_url: str = "", head: str = "") -> Message:
    """The comment on the report in the file `path`; raises `UserError` when it is not a sound one."""
    return _of_report(
        parse_report(decode(read_bytes(path, MAX_REPORT_BYTES), path), path), Context(run_url, head)
    )


def of_run(github: GitHub, repository: str, run: WorkflowRun, artifact: str, context: Context) -> Message:
    """The comment on what `run` left behind under the name `artifact`.

    Without such an artifact it names the jobs that failed; an unreadable one is said in the comment and kept as error.
    """
    ended = run.conclusion or "unknown"
    path = f"{repo_path(repository)}/actions/runs/{run.id}"
    number = _artifact_number(github, path, artifact, run.id)
    if number is None:
        jobs = [_job(item) for item in github.pages(f"{path}/attempts/{run.run_attempt}/jobs", key="jobs")]
        text = render_missing(ended, [job for job in jobs if job], context)
        return Message(text, text)
    content = github.download(f"{repo_path(repository)}/actions/artifacts/{number}/zip", MAX_ZIP_BYTES)
    try:
        return _of_report(report_from_zip(content), context)
    except UserError as error:
        text = render_missing(ended, [], context, error.message)
        return Message(text, text, error)


def _of_report(report: Report, context: Context) -> Message:
    return Message(
        render_comment(report, context), render_short(report, context), head=report.head.commit or ""
    )


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
    if not isinstance(item, dict) or item.get("conclusion") in _SUCCEEDED:
        return None
    return str(item.get("name", "")), str(item.get("conclusion") or item.get("status") or "unknown")
