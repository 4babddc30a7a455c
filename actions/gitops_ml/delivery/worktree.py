"""The files of one commit as a folder of their own, so that what is applied is what main says and nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitops_ml.delivery.git import Git


@contextmanager
def files_of(git: Git, commit: str) -> Iterator[Path]:
    """A work tree of `commit`, removed at the end; its folder has the name of the repository's own.

    The clone's own files may be of an older commit, or changed by hand. What a killed run left behind in git's
    administration is cleared away first.
    """
    top = git.try_("rev-parse", "--show-toplevel")
    name = Path(top.text if top.code == 0 and top.text else git.folder.resolve()).name
    git.try_("worktree", "prune")
    above = Path(tempfile.mkdtemp(prefix="gitops-ml-"))
    folder = above / name
    try:
        # Large files are of no use to a deployment, and their server may ask for credentials that it does not have.
        skip = {"GIT_LFS_SKIP_SMUDGE": "1"}
        git.run("worktree", "add", "--quiet", "--force", "--detach", str(folder), commit, environ=skip)
        yield folder
    finally:
        shutil.rmtree(above, ignore_errors=True)
        git.try_("worktree", "prune")
