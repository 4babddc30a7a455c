"""A branch with one commit on main's tip that writes one file: made without a work tree, pushed without surprises."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops_ml.delivery.contended import has_moved
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.move import Move
from gitops_ml.delivery.remote import fetch
from gitops_ml.errors import UserError

_ATTEMPTS = 6
_BOT = "41898282+github-actions[bot]@users.noreply.github.com"


@dataclass(frozen=True)
class Branches:
    """The branches of `remote`, through a clone. `environ` names who commits."""

    git: Git
    remote: str = "origin"
    environ: Mapping[str, str] | None = None

    def tip(self, name: str) -> str | None:
        """The commit of `name` as it is on the remote now, its objects at hand; None when there is no such branch."""
        return fetch(self.git, self.remote, f"refs/heads/{name}")

    def commit(self, parent: str, move: Move) -> str:
        """A commit on `parent` that makes `move`. Equal calls by the same person make the same commit."""
        when = self.git.run("show", "--no-patch", "--format=%ct +0000", parent, "--").text
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        blob = self.git.run("hash-object", "-w", "--stdin", stdin=move.content).text
        with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
            environ = {"GIT_INDEX_FILE": str(Path(folder) / "index"), **(self.environ or {}), **dates}
            self.git.run("read-tree", parent, environ=environ)
            line = f"100644 {blob}\t{move.path}\n".encode()
            self.git.run("update-index", "--index-info", stdin=line, environ=environ)
            tree = self.git.run("write-tree", environ=environ).text
            words = ("commit-tree", tree, "-p", parent, "-F", "-")
            made = self.git.try_(*words, stdin=move.message.encode(), environ=environ)
        if made.code != 0:
            fix = 'Tell git who you are:\n    git config user.name "..."\n    git config user.email "..."'
            raise UserError(
                f"git can't commit: {made.problem.splitlines()[-1] if made.problem else '?'}.", fix
            )
        return made.text

    def is_exact(self, main: str, head: str, move: Move) -> bool:
        """Whether merging `head` into `main` does what `move` does, nothing else, and can't conflict."""
        fork = self.git.try_("merge-base", main, head)
        if fork.code != 0 or self.git.blobs([f"{head}:{move.path}"]) != [move.content]:
            return False
        ours, theirs = self.git.changed(fork.text, head), self.git.changed(fork.text, main)
        return ours == [move.path] and move.path not in theirs

    def bring(self, main: str, move: Move) -> None:
        """See to it that the branch of `move` is on the remote; raises `UserError` when others keep changing it.

        A branch that somebody else brought is as good, but for a rollback's: it says why.
        """
        for _ in range(_ATTEMPTS):
            seen = self.tip(move.branch)
            reusable = seen is not None and move.kind == "promote" and self.is_exact(main, seen, move)
            if reusable or self.write(main, move, seen):
                return
        raise UserError(f"Others write {move.branch} faster than this run.", "Run it again in a minute.")

    def write(self, main: str, move: Move, seen: str | None) -> bool:
        """Make the branch of `move` anew, if it still is what was `seen` of it; False when it is not."""
        commit = self.commit(main, move)
        return commit == seen or self.push(commit, move.branch, seen)

    def push(self, commit: str, name: str, seen: str | None) -> bool:
        """Set `name` to `commit` if it still is what was `seen` of it, None for absent; False when it is not.

        Raises `UserError` when the remote refuses for another reason.
        """
        lease = f"--force-with-lease=refs/heads/{name}:{seen or ''}"
        said = self.git.try_("push", "--quiet", lease, self.remote, f"{commit}:refs/heads/{name}")
        if said.code == 0:
            return True
        if has_moved(said.problem):
            return False
        fix = "The token needs `contents: write`, and no ruleset may protect this branch."
        raise UserError(f"{name} can't be pushed to {self.remote}: {said.problem}", fix)

    def drop(self, name: str, seen: str) -> None:
        """Delete `name` if it still is what was `seen` of it; one that is gone or has moved is left alone."""
        self.git.try_(
            "push",
            "--quiet",
            f"--force-with-lease=refs/heads/{name}:{seen}",
            self.remote,
            f":refs/heads/{name}",
        )


def identity(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Who commits: on a runner GitHub's bot, on a laptop whoever git says."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return {}
    return {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "github-actions[bot]"), ("EMAIL", _BOT))
    }
