"""Real git repositories for the tests: a bare one that protects main as GitHub would, and clones of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitops_ml.delivery.git import Git
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.typed import Run

from tests.delivery.truth import START

PIPELINE = """schema: 1
image: ghcr.io/octo/churn
environments:
  - {name: staging, follow: true}
  - name: production
    evidence: [version]
"""
STAGING = "schema: 1\nenvironment: staging\nfollow: main\n"
# What a ruleset does: main takes a push only from the merge button, which says so in a push option; nothing is
# rewritten and deploy-state is append-only.
HOOK = """#!/bin/sh
while read -r old new name; do
  case "$name" in
    refs/heads/main)
      [ "$GIT_PUSH_OPTION_0" = merge-button ] || { echo "GH013: changes go through pull requests"; exit 1; } ;;
    refs/heads/deploy-state)
      [ "$old" = 0000000000000000000000000000000000000000 ] && continue
      git merge-base --is-ancestor "$old" "$new" || { echo "GH013: no force-push"; exit 1; }
      [ -z "$(git diff --name-only --diff-filter=MDTR "$old" "$new")" ] || { echo "GH013: append-only"; exit 1; } ;;
  esac
done
"""


def git(folder: Path, *words: str) -> str:
    """Run git; raises `CalledProcessError` with what it said."""
    settings = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *settings, *words], cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
    return done.stdout.strip()


def make_origin(folder: Path) -> Path:
    """A bare repository whose main is protected by a pre-receive hook."""
    origin = folder / "origin.git"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(origin, "config", "receive.advertisePushOptions", "true")
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    return origin


def make_clone(origin: Path, name: str) -> Path:
    clone = origin.parent / name
    git(origin.parent, "clone", "--quiet", str(origin), str(clone))
    return clone


def commit(clone: Path, message: str, **files: bytes | str) -> str:
    """Write `files` (`__` stands for `/`, a last `_` for `.`) and commit them; returns the commit."""
    for name, content in files.items():
        path = clone / name.replace("__", "/").replace("_yaml", ".yaml").replace("_py", ".py").replace(
            "_md", ".md"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", message)
    return git(clone, "rev-parse", "HEAD")


def push(clone: Path) -> None:
    """What the merge button does with the clone's main."""
    git(clone, "push", "--quiet", "-o", "merge-button", "origin", "HEAD:main")


def made(commit_: str, key: str, number: int, sequence: int) -> Manifest:
    """A release of `commit_` with the build key `key`; `number` makes its artifacts differ."""
    artifacts = Artifacts(
        commit=commit_,
        build_key=key,
        image=f"ghcr.io/octo/churn@sha256:{number:064x}",
        model=f"{number + 16:064x}",
        data=f"{1:064x}",
        run=f"run-{number}",
        contract=f"{2:064x}",
    )
    return Manifest(
        schema=1,
        release=release_id(artifacts),
        artifacts=artifacts,
        sequence=sequence,
        eval_hash=None,
        primary="roc_auc",
        metrics={"roc_auc": 0.9 + number / 1000},
        run=Run(),
        at=START,
    )


def opened(clone: Path) -> Git:
    return Git(clone)
