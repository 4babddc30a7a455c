"""What a forge remembers: accounts, pull requests, issues, runs, artifacts, comments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.git_remote import GitRemote
from tests.fakes.repository_settings import RepositorySettings

SHA = "a1" * 20
MERGED_AT = "2026-01-01T00:00:00Z"


@dataclass
class Review:
    """What `login` said of the commit `sha` of a pull request; an approval of an older commit may be dismissed."""

    id: int
    login: str
    sha: str
    state: str = "APPROVED"
    body: str = ""

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "user": {"login": self.login, "id": 1},
            "state": self.state,
            "body": self.body,
            "commit_id": self.sha,
        }


@dataclass
class Pull:
    """A pull request into `base`; `head_repo` is None when the fork is gone.

    `waits`: its runs wait until a person presses "Approve workflows to run". `gate` is what its required check says
    of the present head, None before it has said anything.
    """

    number: int
    head_repo: str | None
    ref: str
    sha: str = SHA
    state: str = "open"
    title: str = "Change the model"
    body: str = ""
    author: str = "ada"
    base: str = "main"
    labels: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    waits: bool = False
    gate: bool | None = None
    merged_by: str | None = None
    merge_sha: str | None = None
    events: list[str] = field(default_factory=list)  # such as base_ref_changed
    files: list[str] = field(default_factory=list)  # that it changes; one that was moved as `new < old`

    @property
    def approvers(self) -> list[str]:
        """Who approved and did not say otherwise later."""
        last = {review.login: review.state for review in self.reviews if review.state != "COMMENTED"}
        return [login for login, state in last.items() if state == "APPROVED"]

    def shown(self) -> dict[str, Any]:
        """As it stands in lists."""
        owner = (self.head_repo or "gone/gone").split("/")[0]
        repo = {"full_name": self.head_repo, "owner": {"login": owner}} if self.head_repo else None
        head = {"ref": self.ref, "sha": self.sha, "label": f"{owner}:{self.ref}", "repo": repo}
        return {
            "number": self.number,
            "state": self.state,
            "title": self.title,
            "body": self.body or None,
            "user": {
                "login": self.author,
                "id": 1,
                "type": "Bot" if self.author.endswith("[bot]") else "User",
            },
            "labels": [{"name": name} for name in self.labels],
            "base": {"ref": self.base},
            "head": head,
            "merge_commit_sha": self.merge_sha,
            "merged_at": MERGED_AT if self.merged_by else None,
        }

    def shown_whole(self, mergeable: bool | None) -> dict[str, Any]:
        """As it stands alone; `mergeable` is None while GitHub still works it out."""
        merged_by = {"login": self.merged_by, "id": 1} if self.merged_by else None
        return {
            **self.shown(),
            "merged": self.merged_by is not None,
            "merged_by": merged_by,
            "mergeable": mergeable,
            "mergeable_state": {True: "clean", False: "dirty", None: "unknown"}[mergeable],
        }


@dataclass
class Issue:
    """An issue; its comments are the forge's, as those of pull requests are."""

    number: int
    title: str
    body: str
    author: str
    labels: list[str] = field(default_factory=list)
    state: str = "open"
    state_reason: str | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "state": self.state,
            "state_reason": self.state_reason,
            "user": {"login": self.author, "id": 1},
            "labels": [{"name": name} for name in self.labels],
        }


@dataclass(frozen=True)
class Triggered:
    """Workflows that something started; `waits` for "Approve workflows to run" where a run's own token did it."""

    event: str
    ref: str
    sha: str
    login: str
    number: int | None = None
    waits: bool = False


@dataclass
class Rules:
    """The ruleset of main, and the settings that decide what the token of a run may do."""

    approvals: int = 0
    gate: bool = False  # main takes nothing whose required check has not passed
    dismiss_stale: bool = True
    # "Allow GitHub Actions to create and approve pull requests": off in a new repository.
    actions_open_pulls: bool = True


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
    path: str = ".github/workflows/pull-request.yml"

    def shown(self, repository: str) -> dict[str, Any]:
        """As it stands in lists."""
        run = self.payload(repository)["workflow_run"]
        return {**run, "path": self.path, "repository": {"full_name": repository}, "pull_requests": []}

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
    """Everything that one forge holds about one repository.

    With `git`, pull requests of this repository are about branches that exist in it, and merging them moves main.
    """

    repository: str = "octo/model"
    users: dict[str, int] = field(default_factory=lambda: {"github-actions[bot]": 41898282, "ada": 7})
    # Whose token is in use. The token of a run knows no user of its own: None.
    viewer: str | None = None
    # Tokens of people by token; any other token is the viewer's.
    tokens: dict[str, str] = field(default_factory=dict)
    git: GitRemote | None = None
    rules: Rules = field(default_factory=Rules)
    pulls: list[Pull] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    triggered: list[Triggered] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    settings: RepositorySettings = field(default_factory=RepositorySettings)
    next_id: int = 1000

    @property
    def owner(self) -> str:
        return self.repository.partition("/")[0]

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def new_number(self) -> int:
        """Issues and pull requests share their numbers."""
        return max((each.number for each in (*self.pulls, *self.issues)), default=0) + 1

    def pull(self, number: int) -> Pull | None:
        return next((pull for pull in self.pulls if pull.number == number), None)

    def issue(self, number: int) -> Issue | None:
        return next((issue for issue in self.issues if issue.number == number), None)

    def account(self, login: str) -> int:
        """The id of `login`, who gets an account if there is none yet."""
        return self.users.setdefault(login, 100 + len(self.users))

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

    def trigger(self, event: str, ref: str, sha: str, login: str, number: int | None = None) -> None:
        """Start workflows, unless the token of a run did it: its pushes start none, its pull requests' runs wait."""
        by_run = login == "github-actions[bot]"
        if not (by_run and event == "push"):
            self.triggered.append(
                Triggered(event, ref, sha, login, number, by_run and event == "pull_request")
            )
