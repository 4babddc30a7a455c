"""`deploy-state`: an orphan branch to which many runs append at once; a file on it is never changed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_ml.delivery.contended import Prepared, push_on_top
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.paths import noun
from gitops_ml.delivery.records import load_facts
from gitops_ml.delivery.remote import fetch
from gitops_ml.errors import UserError

BRANCH = "deploy-state"
IDENTITY = {
    "GIT_AUTHOR_NAME": "gitops-ml",
    "GIT_AUTHOR_EMAIL": "gitops-ml@users.noreply.github.com",
    "GIT_COMMITTER_NAME": "gitops-ml",
    "GIT_COMMITTER_EMAIL": "gitops-ml@users.noreply.github.com",
}
Make = Callable[[Facts], Mapping[str, bytes]]


@dataclass(frozen=True)
class Appended:
    """What one append did: the tip it left, the files it added, and how many pushes it took."""

    tip: str
    files: tuple[str, ...]
    attempts: int


@dataclass(frozen=True)
class StateBranch:
    """The branch on `remote`, written through any clone. `pause` takes seconds and is replaced in tests."""

    git: Git
    remote: str = "origin"
    branch: str = BRANCH
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def append(self, make: Make, message: str) -> Appended:
        """Add the files that `make` decides on, looking at the newest facts; returns when they are on the remote.

        `make` is called again whenever somebody else was faster, so what it decides (the next attempt's number, that
        a release exists already, that a run is stale) holds for the branch as it is when the files arrive. It adds
        nothing by returning nothing, and refuses by raising. Raises `UserError` when a file exists with other
        content, or when the remote takes none, as `push_on_top`.
        """

        def prepare(attempt: int) -> Prepared[Appended]:
            tip = self.fetch()
            there = {} if tip is None else self.git.entries(tip)
            new = self._new(dict(make(load_facts(self.git, tip))), there)
            if not new:
                return Prepared(None, Appended(tip or "", (), attempt))
            commit = self._commit(tip, new, message)
            return Prepared(commit, Appended(commit, tuple(sorted(new)), attempt))

        return push_on_top(self.git, self.remote, self.branch, prepare, self.pause, "took no new record")

    def fetch(self) -> str | None:
        """The tip of the branch on the remote, its objects at hand; None when the branch does not exist yet."""
        return fetch(self.git, self.remote, f"refs/heads/{self.branch}")

    def _new(self, wanted: Mapping[str, bytes], there: Mapping[str, str]) -> dict[str, str]:
        """The files to add as path to object id, without those that are there already with the same content."""
        new: dict[str, str] = {}
        for path, content in wanted.items():
            if noun(path) is None:
                raise UserError(f"{path!r} is no place for a record on {self.branch}.")
            identifier = self.git.run("hash-object", "-w", "--stdin", stdin=content).text
            if path not in there:
                new[path] = identifier
            elif there[path].split()[1] != identifier:
                raise UserError(
                    f"{path} on {self.branch} exists with other content; records are never changed."
                )
        return new

    def _commit(self, tip: str | None, new: Mapping[str, str], message: str) -> str:
        """A commit on `tip` with the files `new`, made through an index of its own."""
        with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
            environ = {"GIT_INDEX_FILE": str(Path(folder) / "index"), **IDENTITY}
            self.git.run("read-tree", *([tip] if tip else ["--empty"]), environ=environ)
            lines = "".join(f"100644 {identifier}\t{path}\n" for path, identifier in new.items())
            self.git.run("update-index", "--index-info", stdin=lines.encode(), environ=environ)
            tree = self.git.run("write-tree", environ=environ).text
            parent = ["-p", tip] if tip else []
            return self.git.run("commit-tree", tree, *parent, "-m", message, environ=environ).text
