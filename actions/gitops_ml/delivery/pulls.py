"""The pull requests by which environments move, on the forge: found, opened, kept true, closed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from gitops_ml.delivery.reviews import User, last_words
from gitops_ml.delivery.trailers import requested_by
from gitops_ml.delivery.typed import ENVIRONMENT
from gitops_ml.errors import UserError
from gitops_ml.events import Loose, Side
from gitops_ml.github import GitHub, repo_path

# GitHub's words when there is one already for the branch, and when a setting forbids runs to open any.
_EXISTS = "already exists"
_FORBIDDEN = "not permitted to create or approve pull requests"
_FORBIDDEN_FIX = """Allow it: Settings > Actions > General > Workflow permissions > "Allow GitHub Actions to create and
approve pull requests". Or give the action the token of a GitHub App. The branch is pushed; a person can also open the
pull request by hand:
"""
_AUTOMATIC = re.compile(rf"<!-- gitops-ml [a-z]+ {ENVIRONMENT} automatic -->")


class _Base(Loose):
    ref: str


class Pull(Loose):
    """One pull request, as the API shows it in lists."""

    number: Annotated[int, Field(gt=0)]
    state: str
    title: str
    body: str | None = None
    user: User | None = None
    head: Side
    base: _Base
    html_url: str = ""

    @property
    def by_run(self) -> bool:
        """Whether the token of a run opened it, so that its checks wait for a person."""
        return self.user is not None and self.user.login == "github-actions[bot]"

    @property
    def asked(self) -> bool:
        """Whether a person wanted it; what does not say that automation opened it counts as that."""
        return _AUTOMATIC.match(self.body or "") is None

    @property
    def requested_by(self) -> str | None:
        """The person that its last line names."""
        return requested_by(self.body or "")


def marker(kind: str, environment: str, asked: bool) -> str:
    """The first line of a body: whose it is, invisible to readers."""
    return f"<!-- gitops-ml {kind} {environment} {'asked' if asked else 'automatic'} -->"


@dataclass(frozen=True)
class Pulls:
    """The pull requests of one repository into its main; every method raises `UserError` when the API refuses."""

    github: GitHub
    repository: str

    def open_ones(self, prefix: str) -> list[Pull]:
        """The open pull requests whose branch is of this repository and begins with `prefix`, oldest first.

        Nobody without the right to push can make such a branch; a fork's branch of that name is not one.
        """
        found = [
            pull
            for pull in self._listed()
            if pull.state == "open"
            and pull.base.ref == "main"
            and pull.head.repo is not None
            and pull.head.repo.full_name == self.repository
            and pull.head.ref.startswith(prefix)
        ]
        return sorted(found, key=lambda pull: pull.number)

    def _listed(self) -> Iterator[Pull]:
        for item in self.github.pages(f"{self._repo}/pulls", state="open", base="main"):
            pull = _read(item)
            if pull is not None:
                yield pull

    def is_approved(self, number: int) -> bool:
        """Whether the last word of anybody on it is an approval."""
        said = last_words(self.github.pages(f"{self._repo}/pulls/{number}/reviews"))
        return any(review.approves for review in said.values())

    def create(self, branch: str, title: str, body: str, by_hand: str) -> Pull | None:
        """Open one for `branch`; None when there is one already. `by_hand` is where a person can open it instead."""
        wanted = {"title": title, "head": branch, "base": "main", "body": body}
        try:
            made = _read(self.github.send("POST", f"{self._repo}/pulls", wanted))
        except UserError as error:
            if _EXISTS in error.message:
                return None
            if _FORBIDDEN in error.message:
                raise UserError(error.message, f"{_FORBIDDEN_FIX}\n    {by_hand}\n") from None
            raise
        if made is None:
            raise UserError("The API took the pull request and did not say which one it is.")
        return made

    def edit(self, pull: Pull, title: str, body: str) -> None:
        """Give `pull` this title and body, unless it has them."""
        if (pull.title, (pull.body or "").replace("\r\n", "\n").rstrip()) != (title, body.rstrip()):
            self.github.send("PATCH", f"{self._repo}/pulls/{pull.number}", {"title": title, "body": body})

    def tell(self, number: int, text: str) -> None:
        """Comment `text`, once: nothing is said when some comment says it already."""
        path = f"{self._repo}/issues/{number}/comments"
        said = (item.get("body") for item in self.github.pages(path) if isinstance(item, dict))
        if text not in ((body or "").strip() for body in said):
            self.github.send("POST", path, {"body": text})

    def close(self, number: int, why: str) -> None:
        """Say `why`, then close it."""
        self.tell(number, why)
        self.github.send("PATCH", f"{self._repo}/pulls/{number}", {"state": "closed"})

    @property
    def _repo(self) -> str:
        return repo_path(self.repository)


def _read(item: Any) -> Pull | None:
    try:
        return Pull.model_validate(item)
    except ValidationError:
        return None  # such as one whose fork is gone
