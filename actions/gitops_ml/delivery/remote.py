"""What a remote has now, without moving a ref that others who use the same clone rely on."""

from __future__ import annotations

import os
import secrets

from gitops_ml.delivery.git import Git
from gitops_ml.errors import UserError


def fetch(git: Git, remote: str, ref: str) -> str | None:
    """The commit of `ref` (its full name) on `remote`, its history at hand; None when the remote has no such ref.

    Raises `UserError` when the remote can't be reached.
    """
    said = git.try_("ls-remote", remote, ref)
    if said.code != 0:
        raise _unreachable(git, remote, said.problem)
    listed = (line.split("\t") for line in said.text.splitlines())
    # The name is matched by its end as well, so a branch may be called like another one's full name.
    tip = next((commit for commit, name in listed if name == ref), None)
    if tip is None or git.resolve(tip) is not None:
        return tip
    # Into a name of this process: others that share the clone must not take each other's tip for their own.
    mine = f"refs/gitops-ml/{ref.rpartition('/')[2]}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        # And without the clone's own refspecs: they would have git move the one remote-tracking branch as well.
        git.run("fetch", "--quiet", "--no-tags", "--refmap=", remote, f"+{ref}:{mine}")
        return git.resolve(mine)
    finally:
        git.try_("update-ref", "-d", mine)


def fetch_main(git: Git, remote: str) -> str:
    """The commit of main on `remote`, its history at hand; raises `UserError` when there is no main."""
    found = fetch(git, remote, "refs/heads/main")
    if found is None:
        raise UserError(f"{remote} has no branch main.", "Push it first, or name another remote.")
    return found


def _unreachable(git: Git, remote: str, problem: str) -> UserError:
    if git.try_("remote", "get-url", remote).code != 0:
        fix = f"Add it: git remote add {remote} git@github.com:OWNER/NAME.git"
        return UserError(f"This clone has no remote {remote}.", fix)
    # What git says first is the reason, what follows is advice.
    reason = next(iter(problem.splitlines()), "git does not say why").removeprefix("fatal: ").rstrip(".")
    fix = f"Look at its address (git remote get-url {remote}), at the network, and at your rights there."
    return UserError(f"The remote {remote} can't be read: {reason}.", fix)
