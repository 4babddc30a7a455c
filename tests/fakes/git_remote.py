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
        command = [
            "git",
            "-C",
            str(self.path),
            "for-each-ref",
            "--format=%(refname:lstrip=2) %(objectname)",
            "refs/heads",
        ]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return dict(line.split(" ") for line in listed.splitlines())
