"""The template as cookiecutter sees it, without this repository's own environment, and projects rendered from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT_FOLDER = "<<cookiecutter.project_slug>>"
PARTS = ("cookiecutter.json", "hooks", "actions", PROJECT_FOLDER)
SKIP_LOCK = "GITOPS_ML_SKIP_LOCK"
# What a person's work leaves in these folders, as .gitignore names it.
_LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache", ".venv", ".hypothesis", "uv.lock")


class RenderError(Exception):
    """cookiecutter refused or failed; the message is what it printed."""


def copy_template(target: Path, root: Path = ROOT) -> Path:
    """Copy only the template's parts to `target`.

    cookiecutter copies the whole repository for its hooks; from a checkout with an environment in it that would be
    a gigabyte for each project.
    """
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=_LEFT_BEHIND)
        else:
            shutil.copy2(source, target / part)
    return target


def render(
    template: Path,
    parent: Path,
    answers: Mapping[str, str] | None = None,
    *,
    lock: bool = True,
    environ: Mapping[str, str] | None = None,
) -> tuple[Path, str]:
    """Generate a project below `parent` as a user would, by the command line; return its folder and what was printed.

    Raises RenderError with cookiecutter's own output when it refuses.
    """
    environment = dict(os.environ if environ is None else environ)
    if not lock:
        environment[SKIP_LOCK] = "1"
    parent.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in parent.iterdir()}
    given = [f"{question}={answer}" for question, answer in (answers or {}).items()]
    command = [
        sys.executable,
        "-m",
        "cookiecutter",
        "--no-input",
        "--output-dir",
        str(parent),
        str(template),
        *given,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    printed = done.stdout + done.stderr
    if done.returncode != 0:
        raise RenderError(printed)
    (created,) = {path.name for path in parent.iterdir()} - before
    return parent / created, printed
