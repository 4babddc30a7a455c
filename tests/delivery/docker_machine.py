"""A Docker host with one environment on it, its releases, and its clients."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.targets.base import Order
from gitops_ml.delivery.targets.compose import Compose
from gitops_ml.delivery.targets.settings import ComposeTarget
from gitops_ml.delivery.typed import Run
from gitops_ml.engine import Build, Docker
from gitops_ml.trial import free_port

from tests.delivery.truth import START

HERE = Path(__file__).parent
CLIENTS = 4
# Between two requests of one client: there are few processors, and the deployment needs some too.
PAUSE_S = 0.002
BODY = json.dumps({"records": [{"x": 1.5}]}).encode()
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
RUN mkdir -p /venv/bin && ln -s /usr/bin/python3 /venv/bin/python
COPY ask.py tiny_service.py busy_service.py /app/
ARG FAULT TROUBLE NUMBER
ENV FAULT=${FAULT} TROUBLE=${TROUBLE} NUMBER=${NUMBER} \\
    RELEASE_COMMIT=1111111111111111111111111111111111111111 \\
    MODEL_HASH=2222222222222222222222222222222222222222222222222222222222222222 \\
    DATA_HASH=3333333333333333333333333333333333333333333333333333333333333333
CMD ["/venv/bin/python", "/app/busy_service.py"]
"""


@dataclass
class Shelf:
    """Releases as images in a registry, each built when it is first asked for."""

    engine: Docker
    base: str
    repository: str
    folder: Path
    ask: Path
    made: dict[tuple[str, str, int], Manifest] = field(default_factory=dict)

    def release(self, number: int = 1, fault: str = "", trouble: str = "") -> Manifest:
        key = (fault, trouble, number)
        if key not in self.made:
            self.made[key] = self._make(*key)
        return self.made[key]

    def clear(self) -> None:
        """Take the images off the engine again."""
        names = {name for number in range(len(self.made)) for name in (f"{self.repository}:{number}",)}
        names |= {release.artifacts.image for release in self.made.values()}
        environ = {**self.engine.environ}
        subprocess.run(
            [self.engine.command, "image", "rm", "--force", *sorted(names)], env=environ, capture_output=True
        )

    def unpublish(self, release: Manifest) -> None:
        """Take it out of the registry; the engine keeps what it has."""
        address, _, name = self.repository.partition("/")
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request("DELETE", f"/v2/{name}/manifests/{release.artifacts.digest}")
            assert connection.getresponse().status == 202
        finally:
            connection.close()

    def _make(self, fault: str, trouble: str, number: int) -> Manifest:
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        for source in (self.ask, HERE / "tiny_service.py", HERE / "busy_service.py"):
            (context / source.name).write_bytes(source.read_bytes())
        (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        tag = f"{self.repository}:{len(self.made)}"
        arguments = {"BASE": self.base, "FAULT": fault, "TROUBLE": trouble, "NUMBER": str(number)}
        self.engine.build(Build(context, context / "Dockerfile", tag, arguments, network="host"))
        self.engine.push(tag, tag)
        (image,) = (
            name for name in self.engine.image(tag).references if name.startswith(f"{self.repository}@")
        )
        return manifest(image, number, commit="1" * 40, model="2" * 64, data="3" * 64)


def manifest(image: str, number: int, commit: str, model: str, data: str) -> Manifest:
    """A release of `image`; `number` tells releases with the same image apart."""
    artifacts = Artifacts(
        commit=commit,
        build_key="4" * 64,
        image=image,
        model=model,
        data=data,
        run=f"run-{number}",
        contract="5" * 64,
    )
    return Manifest(
        schema=1, release=release_id(artifacts), artifacts=artifacts, sequence=number, run=Run(), at=START
    )


@dataclass
class Machine:
    """One environment. `environ` holds the addresses, chosen by the kernel, and where the engine is."""

    repository: Path
    project: str
    environ: dict[str, str]
    docker: str

    @property
    def port(self) -> int:
        return int(self.environ["PROXY_ADDRESS"].rpartition(":")[2])

    def target(self, **settings: Any) -> Compose:
        files = ("deploy/compose.yaml", "deploy/host-network.yaml")
        chosen = ComposeTarget(kind="compose", project=self.project, files=files, **settings)
        pipeline = Pipeline.model_validate(
            {"schema": 1, "environments": ({"name": "staging", "follow": True},)}
        )
        return Compose(chosen, "staging", pipeline, self.repository, self.environ, Facts())

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [self.docker, *words],
            env=self.environ,
            cwd=self.repository,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self) -> dict[str, str]:
        """State by service."""
        listed = self.run(
            *("ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}"),
            *("--format", '{{.Label "com.docker.compose.service"}} {{.State}}'),
        )
        return dict(line.split() for line in listed.splitlines())

    def name(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def identity(self, service: str) -> str:
        return self.run("container", "inspect", "--format", "{{.Id}}", self.name(service))

    def answer(self, path: str = "/version") -> Any:
        """What a client gets through the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def clean(self) -> None:
        mine = f"label=com.docker.compose.project={self.project}"
        ids = self.run("ps", "--all", "--quiet", "--filter", mine).split()
        if ids:
            self.run("rm", "--force", *ids)
        volumes = self.run("volume", "ls", "--quiet", "--filter", mine).split()
        if volumes:
            self.run("volume", "rm", *volumes)


def addresses() -> dict[str, str]:
    """What `compose.yaml` and `host-network.yaml` are filled in with, on ports that are free."""
    proxy, runtime, blue, green, names = (free_port() for _ in range(5))
    return {
        "PROXY_BIND": f"127.0.0.1:{proxy}",
        "PROXY_ADDRESS": f"127.0.0.1:{proxy}",
        "PROXY_RUNTIME_PORT": str(runtime),
        "BLUE_PORT": str(blue),
        "GREEN_PORT": str(green),
        "BLUE_ADDRESS": f"127.0.0.1:{blue}",
        "GREEN_ADDRESS": f"127.0.0.1:{green}",
        "DNS_ADDRESS": f"127.0.0.1:{names}",
    }


def order(release: Manifest, fence: int) -> Order:
    return Order("staging", release, fence)


@dataclass
class Clients:
    """What clients with kept connections got, by release; everything but a prediction is a failure."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.answered.values())


@contextmanager
def clients(machine: Machine, count: int = 4, body: bytes = BODY) -> Iterator[Clients]:
    """`count` clients that ask without end, until the block is left."""
    found, over = Clients(), threading.Event()
    threads = [threading.Thread(target=_ask, args=(machine.port, body, found, over)) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(port: int, body: bytes, found: Clients, over: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in itertools.count():
        if over.wait(PAUSE_S):
            break
        try:
            connection.request("POST", "/predict", body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            found.failed.append(f"request {number}: {error!r}")
            connection.close()
            continue
        if response.status == 200 and b"predictions" in content:
            found.answered[str(response.headers["x-release"])] += 1
        else:
            found.failed.append(f"request {number}: {response.status} {content[:200]!r}")
    connection.close()
