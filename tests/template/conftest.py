"""The template's slim copy and rendered projects, shared by the tests of one worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tools.template_files import copy_template, render

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada Tester",
    "GIT_AUTHOR_EMAIL": "ada@localhost",
    "GIT_COMMITTER_NAME": "Ada Tester",
    "GIT_COMMITTER_EMAIL": "ada@localhost",
}
Render = Callable[..., tuple[Path, str]]
# What a run of these tests brings. Without compiled files, every process of a project starts three times as slowly.
_NOT_A_USERS = frozenset({"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONDONTWRITEBYTECODE"})


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's environment: an identity for git, no configuration of this machine's user."""
    home = tmp_path_factory.mktemp("home")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_A_USERS and not name.startswith("GIT_")
    }
    certificates = {name: value for name, value in os.environ.items() if name == "GIT_SSL_CAINFO"}
    own = {
        # uv stands beside the Python that runs the tests, whether or not make put that folder on PATH.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # Only cookiecutter's and git's own files move; uv's cache stays, or every test would download anew.
        "COOKIECUTTER_CONFIG": os.devnull,
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
    }
    return kept | certificates | IDENTITY | own


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def rendered(template: Path, environ: dict[str, str], tmp_path: Path) -> Render:
    """Render into this test's own folder, by default without locking; returns the project and what was printed."""

    def renders(
        answers: Mapping[str, str] | None = None,
        *,
        parent: Path | None = None,
        lock: bool = False,
        environ: Mapping[str, str] = environ,
    ) -> tuple[Path, str]:
        return render(template, parent or tmp_path / "out", answers, lock=lock, environ=environ)

    return renders
