"""What can be looked at without a forge: tools, the lock file, hooks, the remote."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops_ml.delivery.checkout import PIPELINE, REVOKED, read_policy
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.doctor import code_owners
from gitops_ml.doctor.finding import Finding
from gitops_ml.errors import UserError


@dataclass(frozen=True)
class Clone:
    """What was read of one clone; `policy` is the order of environments, or why it can't be read."""

    git: bool
    tools: frozenset[str]
    tracked: frozenset[str]
    hooks: bool
    runner: bool  # of GitHub Actions, on which nobody commits
    remote: str
    owners: tuple[str | None, str]
    policy: Pipeline | UserError | None


# Program, whether nothing works without it, what it is for, and how to get it.
_TOOLS = (
    ("git", True, "everything", "Install git."),
    ("uv", True, "installing the packages that uv.lock names", "https://docs.astral.sh/uv/getting-started/installation/"),
    ("docker", False, "building and trying the image on this machine", "Install Docker with buildx; CI has it."),
)  # fmt: skip
_TARGET_TOOLS = {"kubernetes": "kubectl", "gitops-pull": "kubectl", "compose": "docker"}


def read_clone(folder: Path, remote: str, environ: Mapping[str, str]) -> Clone:
    """Look at the clone in `folder`."""
    git = Git(folder)
    path = environ.get("PATH")
    names = {name for name, *_ in _TOOLS} | set(_TARGET_TOOLS.values())
    tools = frozenset(name for name in names if shutil.which(name, path=path))
    is_git = "git" in tools and git.try_("rev-parse", "--git-dir").code == 0
    listed = git.try_("ls-files", "-z").output if is_git else b""
    hooks = git.try_("rev-parse", "--git-path", "hooks/pre-commit").text if is_git else ""
    return Clone(
        git=is_git,
        tools=tools,
        tracked=frozenset(listed.decode(errors="surrogateescape").split("\0")),
        hooks=bool(hooks) and (folder / hooks).is_file(),
        runner=environ.get("GITHUB_ACTIONS") == "true",
        remote=git.try_("remote", "get-url", remote).text if is_git else "",
        owners=_owners(folder),
        policy=_policy(folder),
    )


def judge_clone(clone: Clone) -> Iterator[Finding]:
    """What is missing on this machine and in this clone."""
    for name, needed, purpose, fix in _TOOLS:
        if name in clone.tools:
            yield Finding("ok", f"{name} is installed")
        else:
            yield Finding(
                "missing" if needed else "advice", f"{name} is not on PATH", f"It is for {purpose}.", fix
            )
    if not clone.git:
        yield Finding(
            "missing", "this folder is in no git repository", "Git is the record.", "git init && git add ."
        )
        return
    if "uv.lock" in clone.tracked:
        yield Finding("ok", "uv.lock is committed")
    else:
        why = "Without it two runs install different packages, and train different models."
        yield Finding(
            "missing", "uv.lock is not committed", why, "make setup && git add uv.lock && git commit"
        )
    if clone.hooks:
        yield Finding("ok", "the hooks of pre-commit are installed")
    elif not clone.runner:
        why = "What CI refuses would only be seen after the push."
        yield Finding("advice", "the hooks of pre-commit are not installed", why, "make setup")
    if clone.remote:
        yield Finding("ok", "the clone has a remote")
    else:
        fix = "git remote add origin git@github.com:OWNER/NAME.git && git push --set-upstream origin main"
        yield Finding(
            "missing", "the clone has no remote", "A merge can't deploy what is nowhere to be merged.", fix
        )
    yield from code_owners.judge(*clone.owners)
    yield from _judge_policy(clone)


def _judge_policy(clone: Clone) -> Iterator[Finding]:
    match clone.policy:
        case None:
            why = "Without it nothing is deployed; everything up to the merge works."
            fix = "docs/environments.md of the template describes it."
            yield Finding("advice", f"there is no {PIPELINE}", why, fix)
        case UserError() as error:
            yield Finding("missing", error.message, "Every deployment stops at it.", error.fix)
        case Pipeline() as pipeline:
            yield Finding("ok", f"{PIPELINE} can be read")
            for step in pipeline.environments:
                tool = _TARGET_TOOLS.get(step.target.kind)
                if tool is not None and tool not in clone.tools:
                    why = f"{step.name} is deployed with it, on the machine that runs the job."
                    yield Finding(
                        "advice", f"{tool} is not on PATH", why, f"Install {tool}; GitHub's runners have it."
                    )


def _owners(folder: Path) -> tuple[str | None, str]:
    for place in code_owners.PLACES:
        path = folder / place
        if path.is_file():
            return place, path.read_text(encoding="utf-8", errors="replace")
    return None, ""


def _policy(folder: Path) -> Pipeline | UserError | None:
    if not (folder / PIPELINE).is_file():
        return None
    files = {name: (folder / name).read_bytes() for name in (PIPELINE, REVOKED) if (folder / name).is_file()}
    read: Callable[[Mapping[str, bytes]], tuple[Pipeline, object]] = read_policy
    try:
        return read(files)[0]
    except UserError as error:
        return error
