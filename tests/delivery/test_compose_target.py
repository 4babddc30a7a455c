"""Blue/green on a real Docker Engine behind a real HAProxy: what clients notice of a deployment, which is nothing."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.targets import compose
from gitops_ml.delivery.targets.base import FencedError
from gitops_ml.delivery.targets.docker_host import find_docker
from gitops_ml.delivery.targets.settings import Canary
from gitops_ml.engine import Docker
from gitops_ml.errors import UserError

from tests.delivery import docker_machine
from tests.delivery.docker_machine import BODY, CLIENTS, Clients, Machine, Shelf, clients, order
from tests.delivery.name_server import name_server
from tests.image.conftest import base, docker_environ, engine, proxy_image, registry
from tests.template.conftest import environ, template
from tests.tools.required import ROOT, need
from tools.template_files import render

__all__ = ["base", "docker_environ", "engine", "environ", "proxy_image", "registry", "template"]


@pytest.fixture(scope="session")
def project(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated project, with the file beside its own that this engine needs."""
    folder, _ = render(template, tmp_path_factory.mktemp("project"), lock=False, environ=environ)
    shutil.copy2(Path(__file__).with_name("host-network.yaml"), folder / "deploy")
    return folder


@pytest.fixture(scope="session")
def shelf(
    engine: Docker, base: str, registry: str, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    found = Shelf(
        engine, base, f"{registry}/tests/{secrets.token_hex(4)}", folder, project / "deploy" / "ask.py"
    )
    yield found
    found.clear()


@pytest.fixture
def machine(project: Path, docker_environ: dict[str, str], proxy_image: None) -> Iterator[Machine]:
    environ = docker_environ | docker_machine.addresses()
    found = Machine(project, f"tests-{secrets.token_hex(4)}", environ, find_docker(docker_environ))
    yield found
    found.clean()


@pytest.fixture
def names(machine: Machine) -> Iterator[None]:
    """The proxy finds the colours by name, as it does on a network of Docker's."""
    ports = {colour: int(machine.environ[f"{colour.upper()}_PORT"]) for colour in ("blue", "green")}
    machine.environ.update(
        {f"{colour.upper()}_ADDRESS": f"{colour}:{port}" for colour, port in ports.items()}
    )
    with name_server(int(machine.environ["DNS_ADDRESS"].rpartition(":")[2]), ports):
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time in which both colours answer, where a test is about something else."""
    monkeypatch.setattr(compose, "SETTLE_S", 0.3)


def served(asked: Clients) -> None:
    """Wait for so many more answers that each client has had some."""
    before = asked.total
    deadline = time.monotonic() + 120
    while asked.total < before + 40 and not asked.failed:
        assert time.monotonic() < deadline, "clients get no answers"
        time.sleep(0.01)


@pytest.mark.usefixtures("names")
def test_switching_back_and_forth_under_load_loses_no_request(machine: Machine, shelf: Shelf) -> None:
    first, second = shelf.release(1), shelf.release(2)
    target = machine.target()
    assert target.live().release is None
    assert target.apply(order(first, 1)) == ""
    url = f"http://127.0.0.1:{machine.port}/version"
    wrk = subprocess.Popen(
        [need("wrk"), "--threads", "1", "--connections", "4", "--duration", "15s", "--timeout", "30s", url],
        stdout=subprocess.PIPE,
        text=True,
    )
    with clients(machine) as asked:
        for fence, release in enumerate((second, first), start=2):
            served(asked)
            assert target.apply(order(release, fence)) == ""
            live = target.live()
            assert (live.release, live.digest) == (release.release, release.artifacts.digest)
            assert (live.healthy, live.fence) == (True, fence)
            assert machine.answer()["image_digest"] == release.artifacts.digest
        moved = machine.containers()
        assert target.apply(order(first, 9)) == "", "it serves already"
        assert machine.containers() == moved
        assert target.live().fence == 9, "which is remembered although no container is new"
        served(asked)
        said, _ = wrk.communicate(timeout=60)
    assert asked.failed == []
    assert set(asked.answered) == {first.release, second.release}
    assert "requests in" in said
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    assert dict(target.prove(order(first, 9))) == {"version": True, "smoke": True}
    assert dict(target.prove(order(second, 9)))["version"] is False
    assert sorted(machine.containers().values()) == ["running", "running"], "one colour and the proxy"


def test_requests_under_way_are_answered_by_the_release_that_leaves(
    machine: Machine, shelf: Shelf, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shelf.release(1, trouble="lasting")
    target = machine.target()
    assert target.apply(order(first, 1)) == ""
    drain = compose.Proxy.drain
    long = [http.client.HTTPConnection("127.0.0.1", machine.port, timeout=60) for _ in range(4)]

    def begin(proxy: compose.Proxy, name: str) -> None:
        """Long requests begin right before their colour gets no more."""
        if name == "blue":
            for connection in long:
                connection.request("POST", "/predict?lasting", BODY, {"content-type": "application/json"})
            began = time.monotonic()
            while proxy.servers()["blue"].sessions == 0 and time.monotonic() < began + 3:
                time.sleep(0.01)
        drain(proxy, name)

    monkeypatch.setattr(compose.Proxy, "drain", begin)
    assert target.apply(order(shelf.release(2), 2)) == ""
    assert machine.containers() == {"proxy": "running", "green": "running"}
    answers = [connection.getresponse() for connection in long]
    assert [answer.status for answer in answers] == [200] * len(long)
    assert first.release in {answer.headers["x-release"] for answer in answers}


def test_a_bad_release_is_given_up_and_the_old_one_serves_on(
    machine: Machine, shelf: Shelf, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = shelf.release(1)
    target = machine.target()
    assert target.apply(order(good, 1)) == ""
    # However slow this machine is: a release that ends under traffic does so while it is watched.
    monkeypatch.setattr(compose, "SETTLE_S", 60.0)
    bad = [
        (shelf.release(fault="never ready"), "was not ready after 5 s"),
        (shelf.release(fault="other commit"), "version: commit is 'something-else'"),
        (shelf.release(fault="dies"), "the model file does not fit its hash"),
        (shelf.release(trouble="crashes"), "cannot allocate memory"),
    ]
    with clients(machine) as asked:
        for fence, (release, reason) in enumerate(bad, start=2):
            # The first three never get a request; what the last one is reading when its process ends can be lost.
            assert asked.failed == []
            served(asked)
            patience = {"timeout": dt.timedelta(seconds=5)} if "ready" in reason else {}
            said = machine.target(**patience).apply(order(release, fence))
            assert reason in said
            assert "blue serves on" in said
            live = target.live()
            assert (live.release, live.healthy, live.fence) == (good.release, True, fence)
            assert machine.containers() == {"proxy": "running", "blue": "running", "green": "exited"}
        failed = list(asked.failed)
        served(asked)
    assert asked.failed == failed, "nothing more once it is gone"
    assert len(failed) <= 2 * CLIENTS, (
        "it may end twice before it is noticed, with one request of each client"
    )
    with pytest.raises(FencedError, match="newer already: 5 commits of main, and this run knows 4"):
        target.apply(order(shelf.release(2), 4))
    assert target.live().release == good.release


def test_the_first_deployment_can_fail_and_be_tried_again(machine: Machine, shelf: Shelf) -> None:
    target = machine.target()
    assert "does not fit its hash" in target.apply(order(shelf.release(fault="dies"), 3))
    live = target.live()
    assert (live.release, live.healthy, live.fence) == (None, False, 3)
    with pytest.raises(FencedError):
        target.apply(order(shelf.release(1), 2))


@pytest.mark.usefixtures("impatient")
def test_a_deployment_killed_between_two_steps_is_healed_by_the_next(machine: Machine, shelf: Shelf) -> None:
    releases = [shelf.release(1), shelf.release(2)]
    target = machine.target()
    assert target.apply(order(releases[0], 1)) == ""
    # The new one runs unproven; both get traffic. tests/delivery/test_colours.py has all the others.
    points = ("up --detach --no-deps --pull never {new}", "model/{new} state ready")
    colours = ["blue", "green"]
    with clients(machine) as asked:
        for fence, point in enumerate(points, start=2):
            old, new = colours
            releases.reverse()
            die(machine, releases[0], fence, point.format(old=old, new=new))
            assert machine.containers() == {"proxy": "running", "blue": "running", "green": "running"}
            served(asked)
            assert target.live().fence == fence
            assert target.apply(order(releases[0], fence)) == ""
            live = target.live()
            assert (live.release, live.healthy) == (releases[0].release, True)
            assert machine.containers() == {"proxy": "running", new: "running"}
            colours.reverse()
    assert asked.failed == []


def die(machine: Machine, release: Manifest, fence: int, after: str) -> None:
    """Deploy `release` in a process that is killed after a command that ends like `after`."""
    told = {
        "repository": str(machine.repository),
        "project": machine.project,
        "environ": machine.environ,
        "docker": machine.docker,
        "manifest": release.model_dump_json(by_alias=True),
        "fence": fence,
        "after": after,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.delivery.apply_and_die"],
        input=json.dumps(told),
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.usefixtures("impatient")
def test_a_canary_is_abandoned_by_errors_and_by_latency_and_accepted_when_good(
    machine: Machine, shelf: Shelf
) -> None:
    good, better = shelf.release(1), shelf.release(2)
    assert machine.target().apply(order(good, 1)) == ""
    # Wide enough for a machine that has other things to do; the slow release is a hundred times slower.
    seconds = dt.timedelta(seconds=3)
    policy = Canary(weight=30, duration=seconds, min_requests=5, max_latency_ratio=8)
    target = machine.target(canary=policy)
    with clients(machine) as asked:
        assert "were server errors" in target.apply(order(shelf.release(trouble="fails"), 2))
        errors = [failure for failure in asked.failed if "the service failed" in failure]
        assert asked.failed == errors, "what the canary itself answered, and nothing else"
        assert errors
        asked.failed.clear()
        assert "more than 8 times" in target.apply(order(shelf.release(trouble="slow"), 3))
        assert target.live().release == good.release
        before = asked.answered[better.release]
        assert target.apply(order(better, 4)) == ""
        assert target.live().release == better.release
        assert before == 0
        assert asked.answered[better.release] > 0
    assert asked.failed == []


@pytest.mark.usefixtures("impatient")
def test_what_people_do_by_hand_shows(machine: Machine, shelf: Shelf) -> None:
    target, first, second = machine.target(), shelf.release(1), shelf.release(2)
    assert target.apply(order(first, 1)) == ""
    machine.run("restart", machine.name("proxy"))
    live = target.live()
    assert (live.release, live.fence) == (first.release, 1), "its memory is lost, the containers' is not"
    machine.run("stop", "--time", "1", machine.name("blue"))
    assert target.live().healthy is False
    assert target.apply(order(first, 1)) == ""
    assert target.live().healthy
    machine.run("stop", "--time", "1", machine.name("proxy"))
    assert target.live().healthy is False
    assert target.apply(order(second, 2)) == ""
    assert target.live().release == second.release
    proxy = machine.identity("proxy")
    assert target.apply(order(second, 2)) == ""
    assert machine.identity("proxy") == proxy, "the same again"
    machine.environ["DNS_ADDRESS"] = "127.0.0.1:9"
    assert machine.target().apply(order(second, 2)) == ""
    assert machine.identity("proxy") != proxy, "another configuration"
    assert target.live().healthy


@pytest.mark.usefixtures("impatient")
def test_a_release_that_the_host_has_needs_no_registry(machine: Machine, shelf: Shelf) -> None:
    kept, gone = shelf.release(3), shelf.release(4)
    for release in (kept, gone):
        shelf.unpublish(release)
    machine.run("image", "rm", "--force", gone.artifacts.image)
    target = machine.target()
    assert target.apply(order(kept, 1)) == ""
    with pytest.raises(UserError, match="docker pull failed"):
        target.apply(order(gone, 2))
    live = target.live()
    assert (live.release, live.healthy, live.fence) == (kept.release, True, 2)


def test_by_hand_one_colour_runs_with_its_limits_and_is_no_release(machine: Machine, shelf: Shelf) -> None:
    machine.environ["IMAGE"] = shelf.release(1).artifacts.image
    files = [word for name in ("compose.yaml", "host-network.yaml") for word in ("--file", f"deploy/{name}")]
    machine.run("compose", "--project-name", machine.project, *files, "up", "--detach")
    assert machine.containers() == {"proxy": "running", "blue": "running"}
    for service, read_only in (("blue", True), ("proxy", False)):
        described = json.loads(machine.run("container", "inspect", machine.name(service)))[0]
        limits = described["HostConfig"]
        assert limits["ReadonlyRootfs"] is read_only
        assert limits["CapDrop"] == ["ALL"]
        assert limits["SecurityOpt"] == ["no-new-privileges:true"]
        assert limits["Memory"] > 0
        assert limits["PidsLimit"] > 0
        assert limits["LogConfig"]["Config"]["max-size"] == "10m"
        assert not [mount for mount in described["Mounts"] if mount["Type"] == "bind"], (
            "nothing of this machine"
        )
    live = wait_for_answer(machine)
    assert (live.release, live.healthy) == (None, False), "nobody released it"
    assert machine.target().apply(order(shelf.release(2), 1)) == ""
    assert machine.containers() == {"proxy": "running", "green": "running"}
    machine.run("compose", "--project-name", machine.project, "down", "--volumes")
    assert machine.containers() == {}
    assert machine.target().live() == Live(), "it has forgotten what it was asked for"


def wait_for_answer(machine: Machine) -> Live:
    """What the target says once the service answers."""
    deadline = time.monotonic() + 120
    while True:
        try:
            machine.answer()
        except (OSError, ValueError, http.client.HTTPException):
            assert time.monotonic() < deadline, "nobody answers"
            time.sleep(0.1)
        else:
            return machine.target().live()
