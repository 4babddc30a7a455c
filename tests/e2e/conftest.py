"""One generated project on one forge, shared by all scenarios of a worker; pull requests do not disturb each other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from gitops_ml.engine import Docker

from tests.e2e.act import Act, machine_environment
from tests.e2e.loop import IDENTITY, Loop
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.git_remote import GitRemote
from tests.image.conftest import base, engine
from tests.tools.required import need
from tools.template_files import copy_template, render

__all__ = ["base", "engine"]

# The scenarios start from a model that meets the gates and is easy to make better or worse.
STRENGTH = "C: 0.5"
WEAK = "C: 0.03"


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory, engine: Docker, base: str) -> Iterator[Loop]:
    """A project with small tests of its own, trained by its own commands, with `main` on a protected branch."""
    assert base, "the image is built on it"
    description = need("openapi")
    root = tmp_path_factory.mktemp("e2e")
    project, origin, environment = generate(root, {})
    with Forge(contract=Contract.load(description)) as forge:
        reached = {name: value for name, value in engine.environ.items() if name.startswith("DOCKER")}
        act = Act(root / "act", root / "store", origin.path, environment, reached)
        made = Loop(project, origin.path, act, forge, main="")
        made.edit("params.yaml", STRENGTH, WEAK)
        made.main = made.commit("Start from a weak model")
        origin.merge(project, made.main)
        yield made


def generate(root: Path, answers: Mapping[str, str]) -> tuple[Path, GitRemote, Path]:
    """A slim project with its packages installed: its folder, an empty repository for it, and the environment."""
    need("act")
    environ = machine_environment() | IDENTITY | {"HOME": str(root), "COOKIECUTTER_CONFIG": "/dev/null"}
    project, printed = render(
        copy_template(root / "template"), root / "out", {"project_slug": "model", **answers}, environ=environ
    )
    assert (project / "uv.lock").is_file(), printed
    slim(project)
    origin = GitRemote.create(root / "origin.git")
    # GitHub lets a run fetch any commit by its hash.
    subprocess.run(["git", "config", "uploadpack.allowAnySHA1InWant", "true"], cwd=origin.path, check=True)
    environment = root / "venv"
    subprocess.run(
        ["make", "setup"],
        cwd=project,
        env=environ | {"UV_PROJECT_ENVIRONMENT": str(environment)},
        check=True,
    )
    return project, origin, environment


def slim(project: Path) -> None:
    """One quick test per suite and no types: tests/template runs all of that, here the workflows are what is tested."""
    makefile = project / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    assert text.count("\tmypy\n") == 1
    makefile.write_text(text.replace("\tmypy\n", ""), encoding="utf-8")
    for suite in ("unit", "data", "model", "service"):
        folder = project / "tests" / suite
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        test = f'"""A test for {suite}."""\n\n\ndef test_{suite}() -> None:\n    assert True\n'
        (folder / f"test_{suite}.py").write_text(test, encoding="utf-8")
