"""The README, followed by a newcomer on a Debian with git, make and Python and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.fresh_machine import ADDRESS, Machine, blocks, fresh_machine, make_your_own, try_it
from tests.tools.required import missing
from tools.template_files import ROOT

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
DEBIAN = "debian:13-slim"
DEBIANS_PYTHON = "3.13"


def column(printed: str, environment: str) -> list[tuple[str, str]]:
    """Release and digest in the demo's lines about `environment`, in their order."""
    return re.findall(rf"^  \S.* {environment} +(r-\w+) +(sha256:\w+)", printed, re.MULTILINE)


@pytest.fixture(scope="module")
def machine(docker_environ: dict[str, str], proxy_image: None) -> Iterator[Machine]:
    """Beside it, the engine has what a newcomer's would pull."""
    if not docker_environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        missing("the engine is on another machine, and a container there can't be given its socket")
    for image in (DEBIAN, f"python:{DEBIANS_PYTHON}-slim-bookworm", "registry:3"):
        script = ROOT / "tests" / "tools" / "base-image"
        subprocess.run([script, image], env=docker_environ, check=True, stdout=sys.stderr)
    with fresh_machine(DEBIAN, docker_environ) as made:
        yield made
    print("\n".join(f"{seconds:6.0f} s  {title}" for title, seconds in made.figures.items()))


@pytest.fixture(scope="module")
def too_early(machine: Machine) -> str:
    """What `make demo` prints before the README's packages are there."""
    said = machine.type("too early", f"git clone --quiet {ADDRESS} early\nmake --directory early demo")
    assert said.code != 0
    assert machine.type("what it left", "ls --almost-all early/.venv").code != 0
    return said.printed


@pytest.fixture(scope="module")
def demo(machine: Machine, too_early: str) -> str:
    return try_it(machine, PAGE)


@pytest.fixture(scope="module")
def project(machine: Machine, demo: str) -> Path:
    return make_your_own(machine, PAGE, DEBIANS_PYTHON)


def test_without_the_module_venv_one_sentence_says_what_to_install(too_early: str) -> None:
    (sentence,) = (line for line in too_early.splitlines() if line.startswith("error: "))
    assert sentence.endswith("sudo apt-get install python3-venv")
    assert "Traceback" not in too_early


def test_the_demo_promotes_a_model_and_rolls_one_back(demo: str) -> None:
    first, second = column(demo, "staging")
    assert first != second
    # A promotion is the digest that staging ran; a merge alone leaves production; the way back is the first again.
    assert column(demo, "production") == [first, first, second, first]
    assert "Open next: " in demo


def test_the_demo_leaves_nothing_running(demo: str, machine: Machine) -> None:
    mine = "label=com.docker.compose.project=tumour-triage-production"
    assert machine.follow("what is left", f"docker ps --all --quiet --filter {mine}") == ""
    merges = "git -C cookiecutter-gitops-ml/demo/tumour-triage log --format=%s --grep='^Merge ' origin/main"
    assert len(machine.follow("the merges", merges).splitlines()) == 3


def test_a_repository_of_ones_own_is_trained_and_tested(project: Path, machine: Machine) -> None:
    found = machine.follow("the project", f"cd {project}\ngit log --format=%s\ncat reports/metrics.json")
    assert found.startswith("Start from the template\n{")
    assert machine.follow("the work tree", f"git -C {project} status --porcelain -- src params.yaml") == ""


def test_the_sections_hold_the_commands_that_are_followed() -> None:
    assert [len(blocks(name, PAGE)) for name in ("Try it", "Make a repository of your own")] == [2, 2]
