"""The one comment of a pull request that is ours: found, written and kept the newest.

Ours is a comment that our author wrote and whose first line is our marker. The marker also says which run wrote it,
so that a run that finishes late leaves the comment of a newer one alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from gitops_ml.errors import UserError
from gitops_ml.github import GitHub, NoAnswerError, NotFoundError, TextTooLongError, repo_path, segment

Outcome = Literal["created", "updated", "unchanged", "superseded"]

_ID = re.compile(r"[a-z0-9-]{1,50}")
_MARKER = re.compile(
    r"<!-- gitops-ml id=(?P<id>[a-z0-9-]{1,50}) run=(?P<run>\d{1,12}) attempt=(?P<attempt>\d{1,6}) "
    r"head=(?P<head>[0-9a-f]{6,64}) -->(?:\r?\n|\Z)"
)
# A newer run that writes at the same moment is met by reading again; two rounds settle it, the rest is margin.
_ROUNDS = 5


@dataclass(frozen=True)
class Marker:
    """Which sticky comment it is, and which run of which commit wrote it."""

    sticky_id: str
    run: int
    attempt: int
    head: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.sticky_id) or "--" in self.sticky_id:
            raise UserError(
                f"The id of the comment is {self.sticky_id[:60]!r}.",
                "Use lower-case letters, digits and single hyphens, at most 50.",
            )
        if not re.fullmatch(r"[0-9a-f]{6,64}", self.head) or min(self.run, self.attempt) < 0:
            raise UserError("The run to comment on has no proper commit or number.")

    @property
    def order(self) -> tuple[int, int]:
        return self.run, self.attempt

    def __str__(self) -> str:
        return (
            f"<!-- gitops-ml id={self.sticky_id} run={self.run} attempt={self.attempt} head={self.head} -->"
        )


def read_marker(body: str) -> Marker | None:
    """The marker that `body` starts with; one that is quoted further down does not count."""
    found = _MARKER.match(body)
    if found is None or "--" in found["id"]:
        return None
    return Marker(found["id"], int(found["run"]), int(found["attempt"]), found["head"])


@dataclass(frozen=True)
class Comment:
    """One comment of ours."""

    number: int
    body: str
    marker: Marker


@dataclass(frozen=True)
class Posted:
    """What became of the comment; `number` is its id."""

    outcome: Outcome
    number: int


@dataclass(frozen=True)
class Sticky:
    """The sticky comment of one pull request, written as the account `author_id`."""

    github: GitHub
    repository: str
    pull_request: int
    author_id: int

    def publish(self, marker: Marker, text: str, shorter: str) -> Posted:
        """Make `text` the comment, unless a newer run was there first; `shorter` is used when GitHub finds it too long.

        After writing it reads again: a second comment, made by a run at the same moment, is removed by the newer of
        the two, and an older text that came last is written over.
        """
        body = f"{marker}\n{text}"
        outcome: Outcome = "unchanged"
        made: dict[int, Comment] = {}
        trouble: UserError | None = None
        for _ in range(_ROUNDS):
            # A list that is read from a copy of GitHub's database may not show what was just made.
            seen = made | {comment.number: comment for comment in self._ours(marker.sticky_id)}
            ours = [seen[number] for number in sorted(seen)]
            newer = [comment for comment in ours if comment.marker.order > marker.order]
            if newer:
                return Posted("superseded", newer[0].number)
            if len(ours) == 1 and ours[0].body.replace("\r\n", "\n").rstrip() == body.rstrip():
                return Posted(outcome, ours[0].number)
            try:
                if ours:
                    self._update(ours, body)
                    made, outcome = {}, "updated"
                else:
                    comment = self._create(marker, body)
                    made, outcome = {comment.number: comment}, "created"
            except TextTooLongError:
                if body == f"{marker}\n{shorter}":
                    raise
                body = f"{marker}\n{shorter}"
            except NoAnswerError as error:
                trouble = error  # whether it was written is seen by reading again
        raise trouble or UserError(
            "The comment did not stay as it was written: another job writes the same comment.",
            "Give each job its own `id`, or let them run one after the other with `concurrency:`.",
        )

    def _create(self, marker: Marker, body: str) -> Comment:
        made = self.github.send("POST", f"{self._repo}/issues/{self.pull_request}/comments", {"body": body})
        if not isinstance(made, dict) or not isinstance(made.get("id"), int):
            raise UserError("The API took the comment and did not say which one it is.")
        return Comment(made["id"], body, marker)

    def _update(self, ours: list[Comment], body: str) -> None:
        """Write `body` into the oldest comment and remove the others; one that is gone already is no failure."""
        first, *others = ours
        if first.body != body:
            with suppress(NotFoundError):
                self.github.send("PATCH", f"{self._repo}/issues/comments/{first.number}", {"body": body})
        for other in others:
            with suppress(NotFoundError):
                self.github.send("DELETE", f"{self._repo}/issues/comments/{other.number}")

    def _ours(self, sticky_id: str) -> Iterator[Comment]:
        for item in self.github.pages(f"{self._repo}/issues/{self.pull_request}/comments"):
            comment = _comment(item, self.author_id)
            if comment is not None and comment.marker.sticky_id == sticky_id:
                yield comment

    @property
    def _repo(self) -> str:
        return repo_path(self.repository)


def _comment(item: Any, author_id: int) -> Comment | None:
    if not isinstance(item, dict):
        return None
    user, body, number = item.get("user"), item.get("body"), item.get("id")
    if not isinstance(user, dict) or user.get("id") != author_id:
        return None
    if not isinstance(body, str) or not isinstance(number, int):
        return None
    marker = read_marker(body)
    return None if marker is None else Comment(number, body, marker)


def author_id(github: GitHub, login: str) -> int:
    """The id of the account that `github`'s token writes as.

    A personal token knows its own account. The token of a run does not; it writes as the bot `login`.
    """
    for path in ("/user", f"/users/{segment(login)}"):
        try:
            found = github.get(path)
        except NoAnswerError:
            raise
        except UserError:
            if path == "/user":
                continue
            raise
        if isinstance(found, dict) and isinstance(found.get("id"), int):
            return int(found["id"])
    raise UserError(
        f"The API does not say which account {login!r} is.", "Give its name as the input `author`."
    )
