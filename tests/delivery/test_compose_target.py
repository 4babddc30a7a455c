"""Blue/green on a real Docker Engine behind a real HAProxy: what clients notice of a deployment, which is nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops_ml.delivery.targets.base import FencedError
from gitops_ml.delivery.targets.docker_host import find_docker
from gitops_ml.engine import Docker
from gitops_ml.errors import UserError

from tests.delivery import docker_machine
from tests.delivery.docker_machine import Machine, Shelf, clients, order
from tests.image.conftest import base, engine, registry, surroundings
from tests.template.conftest import environ, template
from tests.tools.required import ROOT, need
from tools.template_files import render

__all__ = ["base", "engine", "environ", "registry", "template"]


@pytest.fixture(scope="session")
def project(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated project, with the file beside its own that this engine needs."""
    folder, _ = render(template, tmp_path_factory.mktemp("project"), lock=False, environ=environ)
    shutil.copy2(Path(__file__).with_name("host-network.yaml"), folder / "deploy")
    return folder


@pytest.fixture(scope="session")
def docker_environ(engine: Docker) -> dict[str, str]:
    """Where the engine is, and a docker that has Compose: this machine's own, else the one of the tests."""
    found = surroundings()
    try:
        find_docker(found)
    except UserError:
        plugin = need("docker-compose")
        found = docker_machine.surroundings(found, plugin.parents[1])
    return found


@pytest.fixture(scope="session")
def proxy_image(engine: Docker, docker_environ: dict[str, str]) -> None:
    script = ROOT / "tests" / "tools" / "base-image"
    folder = str(Path(engine.command).parent)
    subprocess.run(
        [script, "haproxy:3.2"],
        env={**docker_environ, "PATH": f"{folder}:{docker_environ['PATH']}"},
        check=True,
        stdout=sys.stderr,
    )


@pytest.fixture(scope="session")
def shelf(
    engine: Docker, base: str, registry: str, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Shelf:
    folder = tmp_path_factory.mktemp("shelf")
    return Shelf(engine, base, f"{registry}/part-c/tiny", folder, project / "deploy" / "ask.py")


@pytest.fixture
def machine(
    project: Path, docker_environ: dict[str, str], proxy_image: None, tmp_path: Path
) -> Iterator[Machine]:
    name = "tests-" + "".join(letter for letter in tmp_path.name.lower() if letter.isalnum())
    found = Machine(
        project, name[:60], docker_environ | docker_machine.addresses(), find_docker(docker_environ)
    )
    found.clean()
    yield found
    found.clean()


def test_switching_back_and_forth_under_load_loses_no_request(machine: Machine, shelf: Shelf) -> None:
    first, second = shelf.release(1), shelf.release(2)
    target = machine.target()
    assert target.live().release is None
    assert target.apply(order(first, 1)) == ""
    with clients(machine) as asked:
        for fence, release in enumerate((second, first, second), start=2):
            assert target.apply(order(release, fence)) == ""
            live = target.live()
            assert (live.release, live.digest) == (release.release, release.artifacts.digest)
            assert (live.healthy, live.fence) == (True, fence)
            assert machine.answer()["image_digest"] == release.artifacts.digest
    assert asked.failed == []
    assert set(asked.answered) == {first.release, second.release}
    assert dict(target.prove(order(second, 9))) == {"version": True, "smoke": True}
    assert sorted(machine.containers().values()) == ["running", "running"], "one colour and the proxy"
