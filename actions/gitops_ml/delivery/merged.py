"""Who wanted what main says, and who approved it: the merged pull request of a commit, asked of the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from gitops_ml.delivery.reviews import User, last_words
from gitops_ml.delivery.trailers import requested_by
from gitops_ml.delivery.world import Review
from gitops_ml.events import Loose, Side
from gitops_ml.github import GitHub, NotFoundError, repo_path


class _Base(Loose):
    ref: str


class Pull(Loose):
    """A pull request as lists show it; `merged_at` is None when it was not merged."""

    number: Annotated[int, Field(gt=0)]
    user: User
    body: str | None = None
    merged_at: str | None
    merge_commit_sha: str | None = None
    base: _Base
    head: Side


@dataclass(frozen=True)
class Merged:
    """A pull request that was merged as one commit of main."""

    number: int
    review: Review

    @property
    def by(self) -> str:
        """The person behind it."""
        return self.review.requested_by or self.review.author


def find_merged(github: GitHub, repository: str, commit: str, branch: str = "main") -> Merged | None:
    """The pull request that was merged into `branch` as `commit`, or None when none was; raises `UserError`."""
    try:
        pull = pull_of(github, repository, commit, branch)
    except NotFoundError:
        return None  # the API knows no such commit, so nobody approved it there
    if pull is None:
        return None
    return Merged(
        pull.number,
        Review(
            pull.user.login, _approvers(github, repository, pull), _requested_by(github, repository, pull)
        ),
    )


def pull_of(github: GitHub, repository: str, commit: str, branch: str = "main") -> Pull | None:
    """Like `find_merged`, but what the list of the commit says of it, and without its approvals."""
    return merge_of(
        read_pulls(github.pages(f"{repo_path(repository)}/commits/{commit}/pulls")), commit, branch
    )


def merge_of(pulls: Iterable[Pull], commit: str, branch: str = "main") -> Pull | None:
    """The one of `pulls` whose merge into `branch` is `commit`; None when there is none, or more than one."""
    merged = [pull for pull in pulls if pull.merged_at and pull.base.ref == branch]
    # A commit also belongs to pull requests that hold it among others; merged as this very commit is only one.
    exact = [pull for pull in merged if pull.merge_commit_sha == commit]
    return exact[0] if len(exact) == 1 else None


def read_pulls(items: Iterable[Any]) -> list[Pull]:
    """The pull requests of a list; one of an account or a head that is gone is nothing that could be an approval."""
    found = []
    for item in items:
        try:
            found.append(Pull.model_validate(item))
        except ValidationError:
            continue
    return found


def _requested_by(github: GitHub, repository: str, pull: Pull) -> str | None:
    """The person whom a bot names; what a person writes about somebody else does not count.

    The commit that was approved decides: unlike the text beside it, nobody can change it afterwards.
    """
    if not pull.user.is_bot:
        return None
    return requested_by(_message(github, repository, pull.head.sha)) or requested_by(pull.body or "")


def _message(github: GitHub, repository: str, commit: str) -> str:
    """The message of `commit`; Gitea and Forgejo have it one level deeper."""
    try:
        found = github.get(f"{repo_path(repository)}/git/commits/{commit}")
    except NotFoundError:
        return ""
    inner = found.get("commit", found) if isinstance(found, dict) else {}
    return str(inner.get("message", "")) if isinstance(inner, dict) else ""


def _approvers(github: GitHub, repository: str, pull: Pull) -> frozenset[str]:
    """Whose last word was an approval of the very commit that was merged."""
    said = last_words(github.pages(f"{repo_path(repository)}/pulls/{pull.number}/reviews"))
    return frozenset(
        login
        for login, review in said.items()
        if review.approves and review.commit_id == pull.head.sha and not review.user.is_bot
    )
