"""The second half of `make demo`: two releases go through staging to production, and one comes back.

Everything happens on this machine: a bare repository plays the server, a registry in a container keeps the images, and
the commands are those that the workflows run. Merging is what the button does: a squash commit on `main`.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tools.demo_step import Demo, DemoError

ENVIRONMENTS = ("staging", "production")
REGISTRY_IMAGE = "registry:3"
OLDEST_COMPOSE = (2, 23, 1)
# Where the engine has no network but the machine's own, each service gets a port instead of a name.
HOST_NETWORK = """\
services:
  proxy:
    network_mode: host
    ports: !reset []
  blue:
    network_mode: host
    environment:
      SERVING_HOST: 127.0.0.1
      SERVING_PORT: ${BLUE_PORT}
  green:
    network_mode: host
    environment:
      SERVING_HOST: 127.0.0.1
      SERVING_PORT: ${GREEN_PORT}
"""


@dataclass(frozen=True)
class Machine:
    """A Docker engine with Compose. `bridged`: containers have a network of their own. `registry`: host and port."""

    environ: Mapping[str, str]
    bridged: bool
    registry: str = ""
    container: str = ""  # the registry's

    def docker(self, *words: str) -> str:
        """Run a docker command; raises DemoError with its last line."""
        done = subprocess.run(["docker", *words], env=dict(self.environ), capture_output=True, text=True)
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise DemoError(f"docker {' '.join(words[:2])} failed: {said}")
        return done.stdout.strip()

    def with_registry(self) -> Machine:
        """This machine with a registry in a container, started now, at a port of the loopback."""
        if self.bridged:
            container = self.docker("run", "--detach", "--publish", "127.0.0.1::5000", REGISTRY_IMAGE)
            address = self.docker("port", container, "5000/tcp").splitlines()[0]
        else:
            address = f"127.0.0.1:{free_port()}"
            own = ("--network", "host", "--env", f"REGISTRY_HTTP_ADDR={address}")
            container = self.docker("run", "--detach", *own, REGISTRY_IMAGE)
        return replace(self, registry=address, container=container)

    def close(self) -> None:
        if self.container:
            self.docker("rm", "--force", "--volumes", self.container)


def find_machine(environ: Mapping[str, str]) -> Machine:
    """The engine that answers here; raises DemoError that says what is missing."""
    machine = Machine(environ, bridged=True)
    try:
        machine.docker("version", "--format", "{{.Server.Version}}")
        found = machine.docker("compose", "version", "--short")
    except (OSError, DemoError) as error:
        raise DemoError(f"no Docker engine with Compose answers here ({error})") from None
    version = tuple(int(part) for part in re.findall(r"\d+", found)[:3])
    if version < OLDEST_COMPOSE:
        raise DemoError(f"Compose is {found}; 2.23.1 or newer is needed")
    networks = machine.docker("network", "ls", "--format", "{{.Name}}").splitlines()
    return replace(machine, bridged="bridge" in networks)


@dataclass(frozen=True)
class Delivery:
    """The project, the machine it is delivered to, and the ports of each environment there."""

    demo: Demo
    machine: Machine
    ports: Mapping[str, int]
    addresses: Mapping[str, Mapping[str, str]]  # for containers without a network of their own

    @property
    def repository(self) -> str:
        return f"{self.machine.registry}/{self.demo.project.name}"

    def play(self) -> list[str]:
        """Two releases to production and the first one back; returns a table of what the services answered."""
        said = [f"{'after':<26} {'environment':<11} {'release':<10}  {'image':<19}  commit"]
        self.prepare()
        first = self.release("the model on main")
        self.deploy("staging", first)
        said.append(self.line("staging proved it", "staging"))
        self.promote()
        self.deploy("production", first)
        said.append(self.line("the promotion was merged", "production"))
        self.change("C: 0.5", "C: 1.0")
        second = self.release("a change of the model")
        self.deploy("staging", second)
        said += [self.line("a merge later", name) for name in ENVIRONMENTS]
        self.promote()
        self.deploy("production", second)
        said.append(self.line("its promotion was merged", "production"))
        self.roll_back()
        self.deploy("production", first)
        said.append(self.line("the rollback was merged", "production"))
        return said

    def prepare(self) -> None:
        """Make the server, and say in `environments/pipeline.yaml` where images and services are on this machine."""
        project, origin = self.demo.project, self.demo.project.parent / "origin.git"
        pipeline = project / "environments" / "pipeline.yaml"
        text = re.sub(
            r"^image: .*$", f"image: {self.repository}", pipeline.read_text(encoding="utf-8"), flags=re.M
        )
        files = (
            "" if self.machine.bridged else "\n      files: [deploy/compose.yaml, deploy/host-network.yaml]"
        )
        for name, before in zip(ENVIRONMENTS, ("8001", "8000"), strict=True):
            if text.count(f"port: {before}\n") != 1:
                raise DemoError(
                    f"{pipeline} does not hold `port: {before}` once, so the demo cannot change it."
                )
            text = text.replace(f"port: {before}\n", f"port: {self.ports[name]}{files}\n")
        pipeline.write_text(text, encoding="utf-8")
        if not self.machine.bridged:
            (project / "deploy" / "host-network.yaml").write_text(HOST_NETWORK, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Deliver to this machine")
        subprocess.run(
            ["git", "init", "--quiet", "--bare", str(origin)], check=True, env=dict(self.demo.environ)
        )
        self.git("remote", "add", "origin", str(origin))
        self.push()

    def git(self, *words: str) -> str:
        return self.demo.quietly(["git", *words])

    def push(self) -> None:
        self.git("push", "--quiet", "origin", "main")

    def change(self, before: str, after: str) -> None:
        """A pull request that a reviewer merged."""
        self.demo.change_parameter(before, after)
        self.git("commit", "--quiet", "--all", "--message", f"{before} -> {after}")
        self.push()

    def release(self, what: str) -> str:
        """Train, build, try, push and record what `main` holds; returns the release."""
        tag = f"{self.demo.project.name}:demo"
        network = [] if self.machine.bridged else ["--network", "host"]
        self.demo.run(f"training {what}", ["make", "train"])
        self.demo.run(
            "building its image", ["make", "image", f"IMAGE={tag}", f"IMAGE_FLAGS={' '.join(network)}"]
        )
        self.demo.run(
            "asking the image what the evaluation was asked",
            ["make", "smoke", f"IMAGE={tag}", f"SMOKE_FLAGS={' '.join(network)}"],
        )
        target = f"{self.repository}:{self.git('rev-parse', '--short', 'HEAD')}"
        pushed = self.suite("pushing it", "none", "image", "push", f"--tag={tag}", f"--to={target}")
        image = re.search(r"\S+@sha256:[0-9a-f]{64}", pushed)
        if image is None:
            raise DemoError(f"`image push` named no digest:\n{pushed}")
        said = self.suite("recording the release", "deliver", "release", "record", f"--image={image[0]}")
        name = re.search(r"r-[0-9a-f]{8}", said)
        if name is None:
            raise DemoError(f"`release record` named no release:\n{said}")
        return name[0]

    def deploy(self, environment: str, release: str) -> None:
        """What `_deploy.yml` does for `environment` after a merge."""
        self.suite(
            f"{environment} runs {release} and proves it", "deliver", "deploy", f"--environment={environment}"
        )

    def promote(self) -> None:
        self.suite("proposing its promotion", "deliver", "promote")
        self.merge("promote/production/")

    def roll_back(self) -> None:
        words = ("rollback", "--environment=production", "--reason=it was only a demo")
        self.suite("asking for the release before", "deliver", *words)
        self.merge("rollback/production/")

    def merge(self, prefix: str) -> None:
        """Press the button: squash the one branch that starts with `prefix` into `main`, and delete it."""
        self.git("fetch", "--quiet", "--prune", "origin")
        listed = self.git(
            "branch", "--remotes", "--list", f"origin/{prefix}*", "--format=%(refname:lstrip=3)"
        )
        branches = listed.split()
        if len(branches) != 1:
            raise DemoError(f"One branch {prefix}... was expected on the server, there are: {branches}")
        self.git("merge", "--quiet", "--squash", f"origin/{branches[0]}")
        self.git("commit", "--quiet", "--message", f"Merge {branches[0]}")
        self.push()
        self.git("push", "--quiet", "origin", "--delete", branches[0])

    def suite(self, title: str, packages: str, *words: str) -> str:
        """Run a verb of the suite, as a workflow of `main` would."""
        environ = self.as_workflow(words[1].partition("=")[2] if words[0] == "deploy" else "")
        demo = replace(self.demo, environ=environ)
        return demo.run(title, [".github/actions/launch", packages, *words])

    def as_workflow(self, environment: str) -> dict[str, str]:
        """The environment of a step: evidence counts only of the workflow that `pipeline.yaml` trusts."""
        environ = dict(self.demo.environ)
        if environment:
            environ |= {
                "GITHUB_ACTIONS": "true",
                "GITHUB_REPOSITORY": f"demo/{self.demo.project.name}",
                "GITHUB_RUN_ID": "1",
                "GITHUB_WORKFLOW_REF": f"demo/{self.demo.project.name}/.github/workflows/deliver.yml@refs/heads/main",
            }
        if environment and not self.machine.bridged:
            environ |= self.addresses[environment]
        return environ

    def line(self, when: str, environment: str) -> str:
        """What the service of `environment` says of itself."""
        address = f"http://127.0.0.1:{self.ports[environment]}/version"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                version = json.load(answer)
        except (urllib.error.URLError, ValueError) as error:
            raise DemoError(f"{environment} does not answer at {address}: {error}") from None
        digest = version["image_digest"]
        return (
            f"{when:<26} {environment:<11} {version['release'][:10]}  {digest[:19]}  {version['commit'][:7]}"
        )

    def close(self) -> None:
        """Take down what the demo started; its images stay, as a cache."""
        for environment in ENVIRONMENTS:
            mine = f"label=com.docker.compose.project={self.demo.project.name}-{environment}"
            for kind, words in (("ps", ["ps", "--all"]), ("volume", ["volume", "ls"])):
                found = self.machine.docker(*words, "--quiet", "--filter", mine).split()
                if found:
                    self.machine.docker(*(["rm", "--force"] if kind == "ps" else ["volume", "rm"]), *found)
        self.machine.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def host_addresses(port: int) -> dict[str, str]:
    """What `compose.yaml` and HOST_NETWORK are filled in with, so that clients reach the proxy at `port`."""
    blue, green, runtime, names = (str(free_port()) for _ in range(4))
    return {
        "PROXY_BIND": f"127.0.0.1:{port}",
        "PROXY_ADDRESS": f"127.0.0.1:{port}",
        "PROXY_RUNTIME_PORT": runtime,
        "BLUE_PORT": blue,
        "GREEN_PORT": green,
        "BLUE_ADDRESS": f"127.0.0.1:{blue}",
        "GREEN_ADDRESS": f"127.0.0.1:{green}",
        "DNS_ADDRESS": f"127.0.0.1:{names}",
    }


def deliver(demo: Demo, machine: Machine) -> list[str]:
    """Play the delivery on `machine`, and leave nothing of it running."""
    ports = {name: free_port() for name in ENVIRONMENTS}
    addresses = {name: host_addresses(ports[name]) for name in ENVIRONMENTS}
    delivery = Delivery(demo, machine.with_registry(), ports, addresses)
    try:
        return delivery.play()
    finally:
        delivery.close()
