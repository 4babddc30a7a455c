"""The workflow run that this process belongs to, as records name it."""

from __future__ import annotations

from collections.abc import Mapping

from gitops_ml.delivery.typed import Run


def this_run(environ: Mapping[str, str]) -> Run:
    """The run that a runner's variables describe; all parts are empty on a laptop.

    `workflow` is GITHUB_WORKFLOW_REF without owner and repository. In a reusable workflow that is the file that called
    it, which is the one a policy can trust.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return Run()
    repository, number = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
    server = environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    url = f"{server}/{repository}/actions/runs/{number}" if server and repository and number else ""
    return Run(
        id=number[:40],
        attempt=int(attempt) if attempt.isascii() and attempt.isdigit() else 0,
        url=url[:300],
        workflow=environ.get("GITHUB_WORKFLOW_REF", "").removeprefix(f"{repository}/")[:300],
    )
