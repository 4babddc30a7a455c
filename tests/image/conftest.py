"""A real container engine, a registry and a base image; without them these tests are skipped by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gitops_ml import engine as engines
from gitops_ml.delivery.targets.docker_host import find_docker
from gitops_ml.engine import Docker
from gitops_ml.errors import UserError

from tests.template.conftest import environ, template
from tests.template.workbench import running_python
from tests.tools.required import ROOT, missing, need

__all__ = ["environ", "template"]

# What `tests/tools/docker-engine start` printed, one NAME=VALUE per line.
OWN_ENGINE = ROOT / ".tools" / "engine" / "environment"


def surroundings() -> dict[str, str]:
    """This process' environment, with the tests' own engine and registry where it names no others."""
    lines = OWN_ENGINE.read_text(encoding="utf-8").split() if OWN_ENGINE.is_file() else []
    return dict(line.split("=", 1) for line in lines) | os.environ


@pytest.fixture(scope="session")
def engine() -> Docker:
    """The engine of DOCKER_HOST, else the tests' own, else the machine's."""
    try:
        return engines.find(surroundings())
    except UserError as error:
        missing(f"no container engine: {error.message} Run tests/tools/docker-engine install, then start")


@pytest.fixture(scope="session")
def base(engine: Docker) -> str:
    """The base image that the generated Dockerfile names; made here when it is Debian's Python and can't be pulled."""
    version = running_python()
    name = f"python:{version}-slim-bookworm"
    try:
        engine.image(name)
    except UserError:
        script = [ROOT / "tests" / "tools" / "base-image", name]
        folder = str(Path(engine.command).parent)
        environ = {**engine.environ, "PATH": os.pathsep.join([folder, os.environ["PATH"]])}
        if version == "3.11":
            subprocess.run(script, env=environ, check=True, stdout=sys.stderr)
        else:
            missing(f"no base image {name}: pull it, or run the tests with Python 3.11")
    return name


@pytest.fixture(scope="session")
def registry() -> str:
    """Address of a registry that takes images without asking who sends them."""
    import http.client

    address = surroundings().get("GITOPS_ML_TEST_REGISTRY")
    if address is None:
        missing("no registry: run tests/tools/docker-engine start")
        raise AssertionError
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/v2/")
        answered = connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        answered = False
    finally:
        connection.close()
    if not answered:
        missing(f"no registry at {address}: run tests/tools/docker-engine start")
    return address


@pytest.fixture(scope="session")
def docker_environ(engine: Docker) -> dict[str, str]:
    """Where the engine is, and a docker that has Compose: this machine's own, else the one of the tests."""
    found = surroundings()
    try:
        find_docker(found)
    except UserError:
        found["DOCKER_CONFIG"] = str(need("docker-compose").parents[1])
    return found


@pytest.fixture(scope="session")
def proxy_image(engine: Docker, docker_environ: dict[str, str]) -> None:
    """The image that the generated compose.yaml names; made here when it is not there."""
    script = ROOT / "tests" / "tools" / "base-image"
    folder = str(Path(engine.command).parent)
    subprocess.run(
        [script, "haproxy:3.2"],
        env={**docker_environ, "PATH": f"{folder}:{docker_environ['PATH']}"},
        check=True,
        stdout=sys.stderr,
    )
