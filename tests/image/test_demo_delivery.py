"""The second half of `make demo`, on a real engine: two releases to production, and the first one back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.demo import generate
from tools.demo_delivery import deliver, find_machine
from tools.demo_step import Demo, DemoError


def column(lines: list[str], name: str) -> list[list[str]]:
    """Release and digest in the lines of the environment `name`."""
    found = [line.partition(f" {name} ")[2].split() for line in lines if f" {name} " in line]
    return [words[:2] for words in found]


def said_by(command: list[str], environ: dict[str, str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True).stdout


def test_two_releases_go_to_production_and_one_comes_back(
    docker_environ: dict[str, str],
    base: str,
    proxy_image: None,
    registry: str,
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    surroundings = environ | docker_environ | {"DEMO_REGISTRY": registry}
    project = generate(tmp_path, surroundings, "compose")
    demo = Demo(project, surroundings)
    demo.run("setting up", ["make", "setup"])
    said = deliver(demo, find_machine(surroundings))
    first, second = column(said, "staging")
    assert first != second
    # A promotion is the digest that staging ran; a merge alone leaves production; the way back is the first again.
    assert column(said, "production") == [first, first, second, first]
    mine = f"label=com.docker.compose.project={project.name}-production"
    assert said_by(["docker", "ps", "--all", "--quiet", "--filter", mine], surroundings, project) == ""
    merges = said_by(["git", "log", "--format=%s", "--grep=^Merge ", "origin/main"], surroundings, project)
    assert len(merges.splitlines()) == 3


def test_without_an_engine_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="no Docker engine with Compose answers here"):
        find_machine({"PATH": "/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"})
