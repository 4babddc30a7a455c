"""The world as one repository has it: policy and desired state from main, facts from deploy-state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from gitops_ml.delivery.build import LOOK_BACK, keys_of
from gitops_ml.delivery.credentials import git_environ
from gitops_ml.delivery.environment import FOLDER, Following, Promoted, file_of, read_environment, wish_of
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.pipeline import Pipeline, Step, read_pipeline
from gitops_ml.delivery.records import load_facts
from gitops_ml.delivery.revoked import Revoked, read_revoked
from gitops_ml.delivery.state import BRANCH
from gitops_ml.delivery.world import Desired, World, followed
from gitops_ml.errors import UserError
from gitops_ml.reading import read_document

PIPELINE = FOLDER + "pipeline.yaml"
REVOKED = FOLDER + "revoked.yaml"


def open_repository(folder: Path, environ: Mapping[str, str] | None = None) -> Git:
    """The repository that `folder` lies in; raises `UserError` when it lies in none, or history is cut off.

    `environ` is that of the run, whose token git may need.
    """
    git = Git(folder, git_environ(environ or {}))
    if git.try_("rev-parse", "--git-dir").code != 0:
        raise UserError(f"{folder} is not in a git repository.", "Run this in a clone of your repository.")
    if git.run("rev-parse", "--is-shallow-repository").text == "true":
        fix = "Fetch it all: git fetch --unshallow, or fetch-depth: 0 of actions/checkout."
        raise UserError("The history of this clone is cut off, so generations can't be counted.", fix)
    return git


def find_ref(git: Git, names: tuple[str, ...], what: str, fix: str) -> str:
    """The commit of the first of `names` that exists; raises `UserError` with `fix`."""
    for name in names:
        found = git.resolve(name)
        if found is not None:
            return found
    raise UserError(f"{what}: none of {', '.join(names)} is a commit here.", fix)


def find_main(git: Git, remote: str = "origin") -> str:
    """The commit of main as the remote had it last, or of the local branch when there is no remote."""
    names = (f"refs/remotes/{remote}/main", "refs/heads/main")
    return find_ref(git, names, "main is not known", f"Fetch it: git fetch {remote} main")


def find_state(git: Git, remote: str = "origin") -> str | None:
    """The commit of deploy-state as the remote had it last; None when nothing was ever recorded."""
    return git.resolve(f"refs/remotes/{remote}/{BRANCH}") or git.resolve(f"refs/heads/{BRANCH}")


def read_files(git: Git, commit: str) -> dict[str, bytes]:
    """The files of `environments/` at `commit` by path; raises `UserError` as `Git.files`."""
    return git.files(commit, FOLDER)


def read_policy(files: Mapping[str, bytes]) -> tuple[Pipeline, Revoked]:
    """Order, gates and revocations; raises `UserError` naming file and line. Without revoked.yaml none is revoked."""
    if PIPELINE not in files:
        raise UserError(
            f"{PIPELINE} does not exist, so there is no order of environments.",
            "Add it:\nschema: 1\nenvironments:\n  - {name: staging, follow: true}\n  - {name: production}",
        )
    pipeline = read_pipeline(read_document(files[PIPELINE], PIPELINE))
    if REVOKED not in files:
        return pipeline, Revoked(schema=1)
    return pipeline, read_revoked(read_document(files[REVOKED], REVOKED))


def read_world(git: Git, main: str, state: str | None, now: dt.datetime) -> World:
    """Everything the decisions look at, with main at the commit `main` and facts at the commit `state`."""
    files = read_files(git, main)
    pipeline, revoked = read_policy(files)
    facts = load_facts(git, state)
    fence = int(git.run("rev-list", "--first-parent", "--count", main, "--").text)
    desired = {
        step.name: _desired(git, main, step, files, facts, revoked, fence) for step in pipeline.environments
    }
    return World(pipeline, revoked, facts, now, desired)


def generation(git: Git, main: str, environment: str) -> int:
    """How many commits of main's first-parent history changed the file of `environment`."""
    counted = git.run("rev-list", "--first-parent", "--count", main, "--", file_of(environment))
    return int(counted.text)


def _desired(
    git: Git, main: str, step: Step, files: Mapping[str, bytes], facts: Facts, revoked: Revoked, fence: int
) -> Desired:
    found = wish_of(step, files)
    if isinstance(found, Following):
        count = generation(git, main, step.name)
        if found.pin is not None:
            return Desired(step.name, found.pin, count, fence, pinned=True)
        recent = git.commits(main, f"--max-count={LOOK_BACK}")
        return Desired(step.name, followed(keys_of(git, recent), facts, revoked), count, fence)
    commits = git.commits(main, paths=[file_of(step.name)])
    history = _history(git, commits, step)
    return Desired(step.name, found.wanted, len(commits), fence, found.artifacts, history)


def _history(git: Git, commits: list[str], step: Step) -> tuple[str | None, ...]:
    """What the file said at each of `commits`, oldest first; a state that can't be read said nothing."""
    path = file_of(step.name)
    said: list[str | None] = []
    for content in git.blobs([f"{commit}:{path}" for commit in reversed(commits)]):
        try:
            found = read_environment(read_document(content or b"", path), step)
        except UserError:
            said.append(None)
            continue
        said.append(found.wanted if isinstance(found, Promoted) else None)
    return tuple(said)
