"""`gitops-ml status`: what runs where, since when, by whom, and what could be promoted."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

from gitops_ml.delivery.checkout import find_main, find_state, open_repository, read_world
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.state import BRANCH
from gitops_ml.delivery.status import WRONG, rows, table
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument(
        "--remote", default="origin", help="where main and deploy-state come from (default: origin)"
    )
    parser.add_argument("--offline", action="store_true", help="use what was fetched last")


def run(options: argparse.Namespace, runner: Runner) -> int:
    git = open_repository(options.repository, runner.environ)
    if not options.offline:
        fetch(git, options.remote, runner)
    main, state = find_main(git, options.remote), find_state(git, options.remote)
    world = read_world(git, main, state, dt.datetime.now(dt.UTC))
    text = table(world, [] if options.offline else moves(git, options.remote))
    print(text, end="")
    runner.summary("### Environments\n\n" + "\n".join("    " + line for line in text.splitlines()))
    return 1 if any(row.state in WRONG for row in rows(world)) else 0


def moves(git: Git, remote: str) -> list[str]:
    """The branches of `remote` by which environments are asked to move; none when it can't be asked."""
    if remote not in git.run("remote").text.split():
        return []
    listed = git.try_("ls-remote", "--refs", remote, "refs/heads/promote/*", "refs/heads/rollback/*").text
    return [line.partition("refs/heads/")[2] for line in listed.splitlines()]


def fetch(git: Git, remote: str, runner: Runner) -> None:
    """Bring main and deploy-state up to date; what can't be fetched is said, and the last known state is shown."""
    if remote not in git.run("remote").text.split():
        return
    for branch in ("main", BRANCH):
        said = git.try_(
            "fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}"
        )
        if said.code != 0 and "couldn't find remote ref" not in said.problem:
            runner.annotate(
                "warning", f"{branch} could not be fetched from {remote}; this is what was known last."
            )
