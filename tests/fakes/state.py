"""What a forge remembers: accounts, pull requests, runs, artifacts, comments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SHA = "a1" * 20


@dataclass
class Pull:
    """A pull request into `main`; `head_repo` is None when the fork is gone."""

    number: int
    head_repo: str | None
    ref: str
    sha: str = SHA
    state: str = "open"
    title: str = "Change the model"

    def shown(self) -> dict[str, Any]:
        owner = (self.head_repo or "gone/gone").split("/")[0]
        repo = {"full_name": self.head_repo, "owner": {"login": owner}} if self.head_repo else None
        return {
            "number": self.number,
            "state": self.state,
            "title": self.title,
            "head": {"ref": self.ref, "sha": self.sha, "label": f"{owner}:{self.ref}", "repo": repo},
        }


@dataclass
class Run:
    """One workflow run, with (name, conclusion) of its jobs."""

    id: int
    number: int
    head_repo: str | None
    ref: str
    sha: str = SHA
    attempt: int = 1
    event: str = "pull_request"
    conclusion: str = "success"
    jobs: list[tuple[str, str]] = field(default_factory=list)
    pull_requests: list[int] = field(default_factory=list)

    def payload(self, repository: str) -> dict[str, Any]:
        """The event that GitHub sends to a workflow on `workflow_run`."""
        head = {"full_name": self.head_repo} if self.head_repo else None
        return {
            "action": "completed",
            "repository": {"full_name": repository},
            "workflow_run": {
                "id": self.id,
                "name": "pull-request",
                "run_number": self.number,
                "run_attempt": self.attempt,
                "event": self.event,
                "status": "completed",
                "conclusion": self.conclusion,
                "head_sha": self.sha,
                "head_branch": self.ref,
                "head_repository": head,
                "pull_requests": [{"number": number} for number in self.pull_requests],
            },
        }


@dataclass
class Artifact:
    """A zip file that a run left behind."""

    id: int
    run: int
    name: str
    content: bytes
    expired: bool = False
    claimed_size: int | None = None

    def shown(self) -> dict[str, Any]:
        size = len(self.content) if self.claimed_size is None else self.claimed_size
        made_by = {"id": self.run}
        return {
            "id": self.id,
            "name": self.name,
            "size_in_bytes": size,
            "expired": self.expired,
            "workflow_run": made_by,
        }


@dataclass
class Comment:
    id: int
    pull: int
    user: int
    login: str
    body: str

    def shown(self) -> dict[str, Any]:
        return {"id": self.id, "body": self.body, "user": {"id": self.user, "login": self.login}}


@dataclass
class State:
    """Everything that one forge holds about one repository."""

    repository: str = "octo/model"
    users: dict[str, int] = field(default_factory=lambda: {"github-actions[bot]": 41898282, "ada": 7})
    # Whose token is in use. The token of a run knows no user of its own: None.
    viewer: str | None = None
    pulls: list[Pull] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    next_id: int = 1000

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def comment(self, pull: int, login: str, body: str) -> Comment:
        """Add a comment as `login`."""
        made = Comment(self.new_id(), pull, self.users[login], login, body)
        self.comments.append(made)
        return made

    def artifact(self, run: Run, content: bytes, name: str = "gitops-ml-report") -> Artifact:
        """Add an artifact to `run`."""
        made = Artifact(self.new_id(), run.id, name, content)
        self.artifacts.append(made)
        return made
