"""What a remote has now, without moving a ref that others who use the same clone rely on."""

from __future__ import annotations

import os
import secrets

from gitops_ml.delivery.git import Git


def fetch(git: Git, remote: str, ref: str) -> str | None:
    """The commit of `ref` (its full name) on `remote`, its history at hand; None when the remote has no such ref.

    Raises `UserError` when the remote can't be reached.
    """
    listed = (line.split("\t") for line in git.run("ls-remote", remote, ref).text.splitlines())
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
