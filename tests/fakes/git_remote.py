"""A bare git repository whose `main` only its owner may move, as a protected branch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HOOK = """#!/bin/sh
# Refuses what a protected branch refuses: any push to main that is not a merge made by the forge.
while read -r _ _ ref; do
  if [ "$ref" = refs/heads/main ] && [ "$FORGE_MERGES" != 1 ]; then
    echo 'remote: error: GH006: Protected branch update failed for refs/heads/main.' >&2
    exit 1
  fi
done
"""


_NAMES = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME")
_EMAILS = ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")


@dataclass(frozen=True)
class GitRemote:
    """The repository at `path`; its address is the path itself."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> GitRemote:
        """An empty repository at `path` with the hook that protects `main`."""
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
        hook = path / "hooks" / "pre-receive"
        hook.write_text(_HOOK, encoding="utf-8")
        hook.chmod(0o755)
        return cls(path)

    def merge(self, checkout: Path, commit: str = "HEAD") -> None:
        """Move `main` to `commit` of `checkout`, as the forge does when a pull request is merged."""
        push = ["git", "-C", str(checkout), "push", "--quiet", str(self.path), f"{commit}:refs/heads/main"]
        subprocess.run(push, check=True, env={**os.environ, "FORGE_MERGES": "1"})

    def heads(self) -> Mapping[str, str]:
        """Commit by branch."""
        listed = self.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads")
        return dict(line.split(" ") for line in listed.splitlines())

    def git(self, *words: str, stdin: str = "") -> str:
        """What git says in the repository; raises `CalledProcessError`."""
        command = ["git", "-C", str(self.path), *words]
        environ = {
            **os.environ,
            **dict.fromkeys(_NAMES, "GitHub"),
            **dict.fromkeys(_EMAILS, "noreply@github.com"),
        }
        done = subprocess.run(command, check=True, capture_output=True, text=True, input=stdin, env=environ)
        return done.stdout.strip()

    def tree_of_merge(self, base: str, head: str) -> str | None:
        """The tree that merging the commit `head` into `base` gives, None on a conflict."""
        try:
            return self.git("merge-tree", "--write-tree", base, head).splitlines()[0]
        except subprocess.CalledProcessError as error:
            if error.returncode != 1:
                raise
            return None

    def merged(self, branch: str, head: str, message: str, method: str = "squash") -> str | None:
        """Merge the commit `head` into `branch` as the merge button does; the new commit, None on a conflict."""
        tip = self.heads()[branch]
        tree = self.tree_of_merge(tip, head)
        if tree is None:
            return None
        parents = ["-p", tip, *(["-p", head] if method == "merge" else [])]
        commit = self.git("commit-tree", tree, *parents, "-F", "-", stdin=message)
        self.git("update-ref", f"refs/heads/{branch}", commit, tip)
        return commit

    def messages(self, base: str, head: str) -> list[str]:
        """The messages of the commits that `head` has and `base` has not, oldest first."""
        said = self.git("log", "--reverse", "--format=%B%x00", f"{base}..{head}")
        return [message.strip() for message in said.split("\0") if message.strip()]

    def drop(self, branch: str) -> None:
        """Delete `branch`."""
        self.git("update-ref", "-d", f"refs/heads/{branch}")

    def keep(self, number: int, sha: str) -> None:
        """Remember `sha` as the head of the pull request `number`; it stays when the branch is deleted."""
        self.git("update-ref", f"refs/pull/{number}/head", sha)
