"""A kustomize overlay as a commit has it, rendered to text; the work tree is neither read nor changed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gitops_ml.delivery.git import Git
from gitops_ml.errors import UserError

TIMEOUT_S = 120
# What renders, in order of preference: kubectl has a kustomize inside.
_RENDERERS = (("kubectl", "kustomize"), ("kustomize", "build"))


def render(git: Git, commit: str, overlay: str, environ: Mapping[str, str]) -> str:
    """What kustomize makes of the folder `overlay` of `commit`; bases may lie in the same top folder.

    Raises `UserError` where there is no such folder, or kustomize refuses.
    """
    command = _renderer(environ)
    top = overlay.partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
        _unpack(git, commit, top, Path(folder))
        if not (Path(folder) / overlay).is_dir():
            raise UserError(
                f"{overlay}, the overlay in environments/pipeline.yaml, is no folder on main.",
                "Commit it, or name the right one.",
            )
        try:
            done = subprocess.run(
                [*command, overlay],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{overlay}: {' '.join(command)} took longer than {TIMEOUT_S} s.") from None
    if done.returncode != 0:
        raise UserError(f"{overlay} can't be rendered: {done.stderr.strip()[:1000]}")
    return done.stdout


def _renderer(environ: Mapping[str, str]) -> tuple[str, str]:
    for program, verb in _RENDERERS:
        found = shutil.which(program, path=environ.get("PATH"))
        if found:
            return found, verb
    raise UserError("Neither kubectl nor kustomize is on PATH.", "Install kubectl on this runner.")


def _unpack(git: Git, commit: str, top: str, folder: Path) -> None:
    """The regular files of `commit` below `top`; a link could lead out of the folder, and is refused."""
    entries = git.entries(commit, top)
    for path, entry in entries.items():
        if not entry.startswith(("100644 ", "100755 ")):
            raise UserError(
                f"{path} is not a regular file.", "Write the file itself; links are not followed."
            )
    contents = git.blobs([entry.split()[1] for entry in entries.values()])
    for path, content in zip(entries, contents, strict=True):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content or b"")
