"""A kustomize overlay as a commit has it, rendered and read; the work tree is neither read nor changed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gitops_ml.delivery.git import Git
from gitops_ml.delivery.manifests import Manifests, read_manifests
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.errors import UserError

TIMEOUT_S = 120
# What renders, in order of preference: kubectl has a kustomize inside.
_RENDERERS = (("kubectl", "kustomize"), ("kustomize", "build"))


def read_overlay(git: Git, pipeline: Pipeline, overlay: str, environ: Mapping[str, str]) -> Manifests:
    """The objects of the folder `overlay` of the commit that is checked out, with the model among them.

    Raises `UserError` as `render` and `read_manifests`, and where the pipeline does not say which image is the model's.
    """
    if pipeline.image is None:
        raise UserError(
            "environments/pipeline.yaml names no `image:`, so the model's container can't be told from others.",
            "Add the repository of the image, without a tag: `image: ghcr.io/owner/name`.",
        )
    return read_manifests(render(git, "HEAD", overlay, environ), pipeline.image, overlay)


def render(git: Git, commit: str, overlay: str, environ: Mapping[str, str]) -> str:
    """What kustomize makes of the folder `overlay` of `commit`; bases may lie in the same top folder.

    Raises `UserError` where there is no such folder, or kustomize refuses.
    """
    command = _renderer(environ)
    top = overlay.partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
        for path, content in git.files(commit, top).items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
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
