"""The event that started the workflow, as GitHub describes it, and the pull request it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops_ml.errors import UserError
from gitops_ml.github import GitHub, repo_path
from gitops_ml.inputs import load_json, shown

_MAX_PAYLOAD_BYTES = 25 * 1024 * 1024
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
FullName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$")]


class Loose(BaseModel):
    """GitHub adds keys all the time; only those in use are looked at, and those strictly."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Repository(Loose):
    full_name: FullName


class Side(Loose):
    """Head of a pull request; the repository is None when the fork is gone."""

    ref: str
    sha: Sha
    repo: Repository | None = None


class Numbered(Loose):
    number: Annotated[int, Field(gt=0)]


class PullRequest(Numbered):
    head: Side
    state: str = "open"


class WorkflowRun(Loose):
    """A finished run; `pull_requests` is empty when the head is in a fork."""

    id: Annotated[int, Field(gt=0)]
    run_number: Annotated[int, Field(ge=0)]
    run_attempt: Annotated[int, Field(ge=1)] = 1
    event: str
    conclusion: str | None = None
    head_sha: Sha
    head_branch: str | None = None
    head_repository: Repository | None = None
    pull_requests: tuple[Numbered, ...] = ()


@dataclass(frozen=True)
class Event:
    """What started this workflow: its name, the repository, and the run or the pull request that it is about."""

    name: str
    repository: str
    run: WorkflowRun | None = None
    pull_request: PullRequest | None = None

    @property
    def from_fork(self) -> bool:
        """Whether the token of *this* workflow is read-only because its pull request comes from a fork."""
        pull = self.pull_request
        return pull is not None and (pull.head.repo is None or pull.head.repo.full_name != self.repository)


def read_event(environ: Mapping[str, str]) -> Event:
    """The event in the environment of a step; raises `UserError` for one that is about no pull request."""
    name, path = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_EVENT_PATH", "")
    if not name or not path:
        raise UserError(
            "GITHUB_EVENT_NAME and GITHUB_EVENT_PATH are not set, so there is no pull request to comment on.",
            "On a laptop, print the comment: gitops-ml comment --dry-run --report report.json",
        )
    payload = load_json(Path(path), _MAX_PAYLOAD_BYTES)
    try:
        repository = Repository.model_validate({"full_name": environ.get("GITHUB_REPOSITORY", "")}).full_name
        if name == "workflow_run":
            return Event(name, repository, run=WorkflowRun.model_validate(_part(payload, "workflow_run")))
        if name == "pull_request":
            return Event(
                name, repository, pull_request=PullRequest.model_validate(_part(payload, "pull_request"))
            )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The event {name}, key {shown(place)}: {first['msg']}.") from None
    raise UserError(
        f"A workflow started by {shown(name)} has no pull request to comment on.",
        "Run it on workflow_run:\n\non:\n  workflow_run:\n    workflows: [pull-request]\n    types: [completed]\n",
    )


def _part(payload: Any, key: str) -> Any:
    part = payload.get(key) if isinstance(payload, dict) else None
    if not isinstance(part, dict):
        raise UserError(f"The event's payload has no {key!r}.")
    return part


def find_pull_request(github: GitHub, repository: str, run: WorkflowRun) -> PullRequest | None:
    """The open pull request whose head is the run's repository, branch and commit; None when it has moved on.

    It is asked of the API. The run's artifact could name any number, and GitHub leaves `pull_requests` empty for forks.
    """
    if run.head_repository is None or run.head_branch is None:
        return None
    owner = run.head_repository.full_name.split("/")[0]
    found = [
        pull
        for pull in _pulls(github, repository, f"{owner}:{run.head_branch}")
        if pull.state == "open"
        and pull.head.repo is not None
        and pull.head.repo.full_name == run.head_repository.full_name
        and pull.head.ref == run.head_branch
        and pull.head.sha == run.head_sha
    ]
    named = {each.number for each in run.pull_requests}
    if len(found) > 1 and len(named) == 1:
        found = [pull for pull in found if pull.number in named]
    if len(found) > 1:
        numbers = ", ".join(str(pull.number) for pull in found)
        raise UserError(
            f"The pull requests {numbers} have the same head, and the run does not say which one it was for.",
            "Close all but one of them, or give each a branch of its own.",
        )
    return found[0] if found else None


def _pulls(github: GitHub, repository: str, head: str) -> list[PullRequest]:
    found = []
    for item in github.pages(f"{repo_path(repository)}/pulls", state="open", head=head):
        try:
            found.append(PullRequest.model_validate(item))
        except ValidationError:
            continue  # a head that is gone, or names no commit, is not the one looked for
    return found


def still_head(github: GitHub, repository: str, pull: PullRequest) -> bool:
    """Whether `pull` is open and its head is still the commit that was reported on."""
    try:
        now = PullRequest.model_validate(github.get(f"{repo_path(repository)}/pulls/{pull.number}"))
    except ValidationError:
        return False
    return now.state == "open" and now.head.sha == pull.head.sha
