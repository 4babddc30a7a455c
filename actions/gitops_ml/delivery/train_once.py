"""Train once: whether the model that a merged pull request trained is the model of main, and may be taken over.

What the API says of pull requests and runs is believed, what a run says of itself is not. Whether main's files are
those that were trained is computed from git. Everything that is not certain is a reason to train on main.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.merged import Pull, pull_of, read_pulls
from gitops_ml.delivery.remote import fetch
from gitops_ml.errors import UserError
from gitops_ml.events import Loose, Repository, WorkflowRun
from gitops_ml.github import GitHub, repo_path

WORKFLOW = ".github/workflows/pull-request.yml"
ARTIFACT = "model-head"
# Commits without an effect on the build may lie on top of the merge; so many are looked past.
LOOK_PAST = 5
# A branch name may be used again and again; each pull request of it costs a request.
MOST_PROPOSALS = 5
_MOVES = ("base_ref_changed", "automatic_base_change_succeeded")
Model = TypeVar("Model", bound=Loose)


class NotTakenOverError(UserError):
    """The model has to be trained on main; the message says why, in one sentence."""


class Trained(WorkflowRun):
    """A run, with the workflow file it ran and the repository it ran in."""

    path: str
    repository: Repository

    @property
    def file(self) -> str:
        """The workflow file without the branch that some servers add to it."""
        return self.path.partition("@")[0]


class Stored(Loose):
    """An artifact of a run."""

    id: int
    name: str
    size_in_bytes: int = 0
    expired: bool = False


@dataclass(frozen=True)
class TakeOver:
    """The model of `run`, in the artifact number `artifact`, trained at `head`, the last commit of `pull_request`."""

    run: int
    artifact: int
    pull_request: int
    head: str


@dataclass(frozen=True)
class Search:
    """Where to look: one repository on a forge, and a clone of it with `remote`."""

    github: GitHub
    repository: str
    git: Git
    remote: str = "origin"

    def look(self, main: str, key: str, only_run: int | None = None) -> TakeOver:
        """The model to take over for the commit `main`, whose build key is `key`; of `only_run` when it is given.

        Raises `NotTakenOverError`, or another `UserError` when the API or the remote fails.
        """
        trouble = NotTakenOverError(f"{main[:7]} on main is not the merge of a pull request.")
        for commit in self.git.commits(main, f"--max-count={LOOK_PAST}"):
            if build_key(self.git.entries(commit)) != key:
                break
            pull = pull_of(self.github, self.repository, commit)
            if pull is None:
                continue
            try:
                return self._of(pull, key, only_run)
            except NotTakenOverError as error:
                # A change of documents trained nothing, but the one before it may have.
                trouble = error
        raise trouble

    def _of(self, pull: Pull, key: str, only_run: int | None) -> TakeOver:
        self._check_head(pull, key)
        self._check_bases(pull)
        runs = [run for run in self._runs(pull) if only_run in (None, run.id)]
        name, last = f"pull request {pull.number}", pull.head.sha[:7]
        if not runs:
            raise NotTakenOverError(
                f"No successful run of {WORKFLOW} is known for {last}, the last commit of {name}."
            )
        for run in runs:
            artifact = self._artifact(run)
            if artifact is not None:
                return TakeOver(run.id, artifact, pull.number, pull.head.sha)
        raise NotTakenOverError(f"The artifact {ARTIFACT} of {name} was not made, or has expired.")

    def _check_head(self, pull: Pull, key: str) -> None:
        """Whether the pull request's last commit has main's files; its commit is fetched and its key computed."""
        if pull.head.repo is None or pull.head.repo.full_name != self.repository:
            raise NotTakenOverError(
                f"Pull request {pull.number} comes from a fork, whose models are never taken over."
            )
        # The pull request's own ref stays when its branch is deleted.
        head = fetch(self.git, self.remote, f"refs/pull/{pull.number}/head")
        if head != pull.head.sha:
            raise NotTakenOverError(
                f"The last commit of pull request {pull.number} is not {pull.head.sha[:7]}, as the API says."
            )
        if build_key(self.git.entries(head)) != key:
            raise NotTakenOverError(
                f"Main has other files than {head[:7]}, the last commit of pull request {pull.number}: something else"
                " was merged in between."
            )

    def _check_bases(self, pull: Pull) -> None:
        """Whether the branch was proposed to main alone: a run uses the workflow of the branch it is proposed to."""
        owner = self.repository.split("/")[0]
        path = f"{repo_path(self.repository)}/pulls"
        listed = list(self.github.pages(path, state="all", head=f"{owner}:{pull.head.ref}"))
        proposals = read_pulls(listed)
        if len(proposals) != len(listed):
            raise NotTakenOverError(
                f"Not every proposal of the branch of pull request {pull.number} can be read, such as one of an account"
                " that is gone."
            )
        same = [
            item for item in proposals if item.head.ref == pull.head.ref and item.head.repo == pull.head.repo
        ]
        if len(same) > MOST_PROPOSALS:
            raise NotTakenOverError(
                f"The branch of pull request {pull.number} was proposed {len(same)} times, which is not looked through."
            )
        if any(item.base.ref != "main" or self._moved(item) for item in same):
            raise NotTakenOverError(
                f"The branch of pull request {pull.number} was proposed to another branch than main as well, whose"
                " workflow may have trained the model."
            )

    def _moved(self, pull: Pull) -> bool:
        """Whether the pull request went to another branch before."""
        events = self.github.pages(f"{repo_path(self.repository)}/issues/{pull.number}/events")
        return any(isinstance(item, dict) and item.get("event") in _MOVES for item in events)

    def _runs(self, pull: Pull) -> list[Trained]:
        """The runs that can have trained the head, the newest first."""
        listed = self.github.pages(
            f"{repo_path(self.repository)}/actions/runs",
            key="workflow_runs",
            event="pull_request",
            status="success",
            head_sha=pull.head.sha,
        )
        fitting = [run for run in valid(listed, Trained) if trained_by(run, pull, self.repository)]
        return sorted(fitting, key=lambda run: run.id, reverse=True)

    def _artifact(self, run: Trained) -> int | None:
        """The newest artifact with the model of `run` that is still there."""
        listed = self.github.pages(
            f"{repo_path(self.repository)}/actions/runs/{run.id}/artifacts", key="artifacts", name=ARTIFACT
        )
        return max(
            (item.id for item in valid(listed, Stored) if item.name == ARTIFACT and not item.expired),
            default=None,
        )


def trained_by(run: Trained, pull: Pull, repository: str) -> bool:
    """Whether `run` is a successful run of main's workflow for `pull`, in `repository` and not for a fork."""
    head = run.head_repository
    return (
        run.event == "pull_request"
        and run.conclusion == "success"
        and run.file == WORKFLOW
        and run.repository.full_name == repository
        and head is not None
        and head.full_name == repository
        and run.head_sha == pull.head.sha
        and run.head_branch == pull.head.ref
    )


def valid(items: Iterable[Any], model: type[Model]) -> list[Model]:
    """What of `items` has the shape of `model`; the rest is not what is looked for."""
    found = []
    for item in items:
        try:
            found.append(model.model_validate(item))
        except ValidationError:
            continue
    return found
