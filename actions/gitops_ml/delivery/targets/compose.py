"""Blue/green on a Docker host: a release gets traffic when it is proven, and what served before serves until then."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.proof import prove, ready_problem, version_problem, wait_until
from gitops_ml.delivery.targets.base import Order, Request, Service, refuse_late
from gitops_ml.delivery.targets.canary import Latency, Sample, hopeless, judge
from gitops_ml.delivery.targets.colours import COLOURS, Colour, Move, decide, other, serving
from gitops_ml.delivery.targets.docker_host import Container, DockerHost, find_docker
from gitops_ml.delivery.targets.inside import Inside, Nowhere
from gitops_ml.delivery.targets.metrics import read_latency
from gitops_ml.delivery.targets.proxy import FULL_WEIGHT, Proxy, Server
from gitops_ml.delivery.targets.said import said_version
from gitops_ml.delivery.targets.settings import Canary, ComposeTarget
from gitops_ml.errors import UserError

# Both colours answer for so long before the old one leaves, so that one which ends at once costs no request.
SETTLE_S = 2.0
# The longest wait for requests that were begun; the service has its own limit, which is shorter.
DRAIN_S = 60.0
PROXY_S = 60.0
# A colour that was given up has nothing to finish.
GIVEN_UP_GRACE_S = 5
PAUSE_S = 0.3
REASON_LIMIT = 480


class GivenUpError(Exception):
    """The release can't serve; says why."""


class Compose:
    """One environment on one Docker host. Commands: `docker` with its compose plugin, found on PATH."""

    def __init__(
        self,
        settings: ComposeTarget,
        environment: str,
        pipeline: Pipeline,
        repository: Path,
        environ: Mapping[str, str],
        facts: Facts,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._project = settings.project or _project(pipeline.image or repository.resolve().name, environment)
        self._files = tuple(repository.resolve() / path for path in settings.files)
        self._environ = dict(environ) | ({"DOCKER_HOST": settings.host} if settings.host else {})

    def live(self) -> Live:
        """The colour that gets traffic. Healthy: what clients get through the proxy is that colour's own answer."""
        containers = self._host.containers()
        fence = self._fence(containers)
        proxy = self._proxy(containers)
        if proxy is None:
            return Live(fence=fence)
        colours = self._colours(proxy, containers)
        found = serving(colours)
        if found is None or found.container is None:
            return Live(fence=fence)
        release, digest = found.container.release, found.container.digest
        alone = sum(colour.serves for colour in colours) == 1
        well = alone and found.server.up and None not in (release, digest)
        healthy = well and said_version(self._through(found.container)) == (release, digest)
        return Live(release, digest, healthy, fence)

    def apply(self, order: Order) -> str:
        self._refuse_if_late(order)
        self._host.remember(order.fence)
        proxy = self._open_proxy()
        move = decide(self._colours(proxy), order)
        if move.finished and self._serves_well(move.new, order):
            self._tidy(proxy, move.new)
            return ""
        if move.finished:
            move = Move(other(move.new), move.new, start=True)
        if move.start:
            self._host.pull(order.release.artifacts.image)
        try:
            if move.start:
                self._start(proxy, move.new, order)
            self._prove(proxy, move.new, order)
            self._hand_over(proxy, move, order)
        except GivenUpError as reason:
            return self._give_up(proxy, move, str(reason))
        return ""

    def prove(self, order: Order) -> Mapping[str, bool]:
        """Through the proxy, as clients ask."""
        return prove(self._front(), order)

    # The place

    @cached_property
    def _host(self) -> DockerHost:
        return DockerHost(find_docker(self._environ), self._environ, self._project, self._files)

    def _variables(self, order: Order | None = None) -> dict[str, str]:
        """What `compose.yaml` is filled in with."""
        given = {"LISTEN": self._settings.listen, "PORT": str(self._settings.port)}
        if order is not None:
            given |= order.variables
            given |= {"IMAGE": order.release.artifacts.image, "DEPLOY_FENCE": str(order.fence)}
            given |= {"DEPLOY_ENVIRONMENT": self._environment}
        return given

    def _proxy(self, containers: Mapping[str, Container]) -> Proxy | None:
        container = containers.get("proxy")
        if container is None or not container.running:
            return None
        return Proxy(self._host, container, self._environ.get("PROXY_RUNTIME_PORT") or "9999")

    def _colours(self, proxy: Proxy, containers: Mapping[str, Container] | None = None) -> list[Colour]:
        found = self._host.containers() if containers is None else containers
        servers = proxy.servers()
        return [Colour(found.get(name), servers[name]) for name in COLOURS]

    def _service(self, name: str) -> Service:
        container = self._host.containers().get(name)
        return Nowhere(f"{name} has no container") if container is None else Inside(self._host, container)

    def _front(self) -> Service:
        """The proxy, asked from inside of what serves."""
        containers = self._host.containers()
        proxy = self._proxy(containers)
        found = None if proxy is None else serving(self._colours(proxy, containers))
        if found is None or found.container is None:
            return Nowhere("nothing serves")
        return self._through(found.container)

    def _through(self, container: Container) -> Service:
        return Inside(self._host, container, self._environ.get("PROXY_ADDRESS") or "proxy:8000")

    # The fence

    def _fence(self, containers: Mapping[str, Container]) -> int:
        return max([self._host.fence(), *(container.fence for container in containers.values())])

    def _refuse_if_late(self, order: Order) -> None:
        refuse_late(self._fence(self._host.containers()), order)

    # The steps. Each can be the last one of a run that dies; `decide` goes on from there.

    def _open_proxy(self) -> Proxy:
        """Start the proxy where there is none or a different one is asked for; otherwise nothing happens."""
        variables = self._variables()
        content = self._host.configuration(variables).get("configs", {}).get("proxy", {}).get("content", "")
        digest = hashlib.sha256(str(content).encode()).hexdigest()
        self._host.up("proxy", variables | {"DEPLOY_CONFIGURATION": digest[:16]})
        proxy = self._proxy(self._host.containers())
        if proxy is None:
            raise UserError(f"The proxy of {self._project} does not run.", "docker compose logs proxy")

        def problem() -> str:
            try:
                proxy.servers()
            except UserError as error:
                return error.message
            return ""

        last = wait_until(problem, PROXY_S)
        if last:
            raise UserError(f"The proxy of {self._project} does not answer: {last}")
        return proxy

    def _serves_well(self, name: str, order: Order) -> bool:
        """Whether the release that serves is ready, perhaps after a while, as after a restart of the host."""
        try:
            self._await_ready(name)
        except GivenUpError:
            return False
        return not version_problem(self._service(name), order)

    def _tidy(self, proxy: Proxy, name: str) -> None:
        """`name` gets everything, and the other colour goes; one that was given up stays, with its log."""
        proxy.weigh(name, FULL_WEIGHT)
        left = self._host.containers().get(other(name))
        if left is not None and (left.running or proxy.servers()[other(name)].open):
            self._retire(proxy, other(name))

    def _start(self, proxy: Proxy, name: str, order: Order) -> None:
        self._empty(proxy, name)
        proxy.maintain(name)
        before = self._host.containers().get(name)
        if before is not None:
            self._host.remove(before)
        try:
            self._host.up(name, self._variables(order), "--pull", "never")
        except UserError as error:
            raise GivenUpError(f"it can't be started: {error.message}") from None
        self._await_ready(name)

    def _await_ready(self, name: str) -> None:
        def problem() -> str:
            return ready_problem(Inside(self._host, self._running(name)))

        last = wait_until(problem, self._settings.timeout.total_seconds())
        if last:
            raise GivenUpError(
                f"it was not ready after {self._settings.timeout.total_seconds():.0f} s: {last}"
            )

    def _running(self, name: str) -> Container:
        """The container of a colour; raises `GivenUpError` when it ended, even if it runs again."""
        container = self._host.containers().get(name)
        if container is None:
            raise GivenUpError("its container was taken away")
        if not container.running:
            raise GivenUpError(f"it ended with exit code {container.exit_code}")
        if container.restarts:
            raise GivenUpError("it ended, and the engine started it anew")
        return container

    def _prove(self, proxy: Proxy, name: str, order: Order) -> None:
        """The colour's own answers, then the proxy's own checks on the way that requests will take."""
        proof = prove(self._service(name), order)
        if proof.why:
            raise GivenUpError(proof.why)
        if proxy.servers()[name].open:
            return
        proxy.distrust(name)
        last = wait_until(lambda: "" if proxy.servers()[name].ready_in_drain else "not ready", PROXY_S)
        if last:
            raise GivenUpError(f"the proxy does not reach it: {proxy.servers()[name].status}")

    def _hand_over(self, proxy: Proxy, move: Move, order: Order) -> None:
        self._refuse_if_late(order)
        canary = self._settings.canary
        if canary is not None and move.old is not None and proxy.servers()[move.old].up:
            self._try_out(proxy, move.new, move.old, canary)
        proxy.open(move.new, FULL_WEIGHT)
        self._settle(proxy, move.new)
        self._tidy(proxy, move.new)

    def _settle(self, proxy: Proxy, name: str) -> None:
        end = time.monotonic() + SETTLE_S
        while True:
            self._running(name)
            server = proxy.servers()[name]
            if not server.up:
                raise GivenUpError(f"it did not stay healthy with traffic: {server.status}")
            if time.monotonic() >= end:
                return
            time.sleep(PAUSE_S)

    def _try_out(self, proxy: Proxy, new: str, old: str, canary: Canary) -> None:
        """A part of the traffic for a time; raises `GivenUpError` when it may not have all of it."""
        before = {name: self._counted(proxy, name) for name in (new, old)}
        proxy.weigh(old, FULL_WEIGHT - canary.weight)
        proxy.open(new, canary.weight)
        end = time.monotonic() + canary.duration.total_seconds()
        while time.monotonic() < end:
            time.sleep(min(PAUSE_S, max(0.0, end - time.monotonic())))
            self._running(new)
            since = _since(proxy.servers()[new], before[new])
            reason = hopeless(canary, since)
            if reason:
                raise GivenUpError(f"as a canary, {reason}")
        after = {name: self._counted(proxy, name) for name in (new, old)}
        reason = judge(canary, *(_difference(after[name], before[name]) for name in (new, old)))
        if reason:
            raise GivenUpError(f"as a canary, {reason}")

    def _counted(self, proxy: Proxy, name: str) -> Sample:
        server = proxy.servers()[name]
        reply = self._service(name).ask(Request("/metrics"))
        text = reply.body.decode("utf-8", "replace") if reply.status == 200 else ""
        return Sample(server.answers, server.errors, read_latency(text))

    def _retire(self, proxy: Proxy, name: str) -> None:
        """No new requests, then the end of those that were begun, then the end of the container."""
        self._empty(proxy, name)
        container = self._host.containers().get(name)
        if container is not None:
            if container.running:
                self._host.stop(container)
            self._host.remove(container)
        # A later container may get its address before the proxy knows of it.
        proxy.maintain(name)

    def _empty(self, proxy: Proxy, name: str) -> None:
        server = proxy.servers()[name]
        if server.open:
            proxy.drain(name)
        elif not server.sessions:
            return
        wait_until(lambda: "busy" if proxy.servers()[name].sessions else "", DRAIN_S)

    def _give_up(self, proxy: Proxy, move: Move, reason: str) -> str:
        """The old colour has all traffic; the new one is stopped, and kept with its labels and its log."""
        self._empty(proxy, move.new)
        proxy.maintain(move.new)
        if move.old is not None:
            proxy.weigh(move.old, FULL_WEIGHT)
        container = self._host.containers().get(move.new)
        said: list[str] = []
        if container is not None:
            said = self._host.logs(container, 20)[-3:]
            self._host.stop(container, GIVEN_UP_GRACE_S)
        kept = f"; {move.old} serves on" if move.old is not None else ""
        logged = f"; its log ends: {' | '.join(said)}" if said else ""
        return f"{move.new}: {reason}{kept}{logged}"[:REASON_LIMIT]


def _since(server: Server, before: Sample) -> Sample:
    return _difference(Sample(server.answers, server.errors), before)


def _difference(after: Sample, before: Sample) -> Sample:
    """What came after `before`; all of it when the proxy has started to count anew."""
    latency: Latency = after.latency.since(before.latency)
    if after.answers < before.answers:
        return Sample(after.answers, after.errors, latency)
    return Sample(after.answers - before.answers, max(0, after.errors - before.errors), latency)


def _project(image: str, environment: str) -> str:
    """A name as Compose wants it, from the last part of the image's name."""
    name = re.sub(r"[^a-z0-9_-]+", "-", image.rpartition("/")[2].lower()).strip("-_")
    return f"{name or 'model'}-{environment}"
