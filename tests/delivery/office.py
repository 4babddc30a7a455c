"""A shop whose repository is on a forge: people and workflow runs type the verbs, and press the buttons."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from gitops_ml import cli
from gitops_ml.delivery.release import Manifest

from tests.delivery.repositories import commit, git, made, push
from tests.delivery.shop import Shop
from tests.fakes.forge import Forge
from tests.fakes.git_remote import GitRemote
from tests.fakes.state import Pull

RUN = {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "token-of-the-run", "GITHUB_ACTOR": "ann"}
_KNOWN = (
    "GITHUB_ACTIONS",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GITHUB_ACTOR",
    "GITHUB_OUTPUT",
    "GITHUB_STEP_SUMMARY",
)


NOTHING = made("0" * 40, "0" * 64, 0, 1)


@dataclass
class Office:
    """`shop` is the clone that everything is typed in; `first` and `second` were shipped before, in this order."""

    shop: Shop
    forge: Forge
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    first: Manifest = NOTHING
    second: Manifest = NOTHING
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.forge.state.git = GitRemote(self.shop.clone.parent / "origin.git")
        self.monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
        self.monkeypatch.setenv("GITHUB_REPOSITORY", self.forge.state.repository)
        self.monkeypatch.setenv("GITHUB_API_URL", self.forge.api_url)
        git(self.shop.clone, "config", "user.name", "Ann")
        git(self.shop.clone, "config", "user.email", "ann@example.org")

    def run(self, *words: str, by: str | None = None, **more: str) -> int:
        """Type a verb: as the person `by` on a laptop, else as a workflow run. What it printed is `said[-1]`.

        `more` are further variables; an empty GITHUB_TOKEN is a laptop without one.
        """
        environ = {"GITHUB_TOKEN": self.forge.token_of(by)} if by else {} if "GITHUB_TOKEN" in more else RUN
        environ = {**environ, **more}
        for name in _KNOWN:
            self.monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)
        self.capsys.readouterr()
        code = cli.main([*words, "--repository", str(self.shop.clone)])
        printed = self.capsys.readouterr()
        self.said.append(printed.out + printed.err)
        return code

    def promote(self, *words: str, by: str | None = None) -> int:
        return self.run("promote", *([] if by else ["--automatic"]), *words, by=by)

    def rollback(self, *words: str, by: str | None = "ann", reason: str = "it is slow") -> int:
        where = [] if "--environment" in words else ["--environment", "production"]
        return self.run("rollback", *where, "--reason", reason, *words, by=by)

    @property
    def open(self) -> list[Pull]:
        return [pull for pull in self.forge.state.pulls if pull.state == "open"]

    def comments(self, number: int) -> list[str]:
        return [comment.body for comment in self.forge.state.comments if comment.pull == number]

    def merge(self, number: int, by: str = "ann") -> str:
        """Press the button, and bring the clone's main to where it is then."""
        made = self.forge.merge(number, by)
        self.catch_up()
        return made

    def catch_up(self) -> None:
        git(self.shop.clone, "fetch", "--quiet", "--prune", "origin")
        git(self.shop.clone, "checkout", "--quiet", "-B", "main", "origin/main")

    def candidate(self) -> Manifest:
        """A release that staging has proven."""
        manifest = self.shop.release()
        self.shop.deploy("staging")
        return manifest

    def ship(self) -> Manifest:
        """A release that goes all the way by the buttons."""
        manifest = self.candidate()
        assert self.promote() == 0
        self.merge(self.open[0].number)
        self.shop.deploy("production")
        return manifest

    def write(self, message: str, **files: bytes | str) -> None:
        """Somebody changes main by another pull request."""
        commit(self.shop.clone, message, **files)
        push(self.shop.clone)

    def branch(self, pull: Pull) -> str:
        """The clone's name for the head of `pull`, after fetching it."""
        git(
            self.shop.clone,
            "fetch",
            "--quiet",
            "origin",
            f"+refs/heads/{pull.ref}:refs/remotes/origin/{pull.ref}",
        )
        return f"origin/{pull.ref}"


def titles(office: Office) -> list[str]:
    """The titles of the open pull requests."""
    return [pull.title for pull in office.open]


def named(release: Manifest | str) -> str:
    """A release as titles name it."""
    return (release if isinstance(release, str) else release.release)[:10]
