"""The Docker host of an environment: the containers of one Compose project, by `docker` and `docker compose` alone.

Everything goes through the engine's API, so the host may be another machine: no file of this one is mounted there.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_ml.delivery.targets.base import Order
from gitops_ml.delivery.typed import as_digest, as_release
from gitops_ml.engine import PATIENCE_S, candidates, last_line
from gitops_ml.errors import UserError

# The first that copies the content of `configs:` into a container.
OLDEST_COMPOSE = (2, 23, 1)
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_VOLUME = "com.docker.compose.volume"


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it. `restarts` counts how often it ended and was started anew."""

    id: str
    service: str
    image: str
    running: bool
    restarts: int = 0
    exit_code: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def release(self) -> str | None:
        return as_release(self.labels.get("gitops-ml.release"))

    @property
    def digest(self) -> str | None:
        """Of the image it was started from; None when that was a tag, whatever its label says."""
        return as_digest(self.image.partition("@")[2])

    @property
    def fence(self) -> int:
        found = self.labels.get("gitops-ml.fence", "")
        return int(found) if found.isdecimal() else 0

    def runs(self, order: Order) -> bool:
        """Whether it is the container of this very release, running."""
        wanted = (order.release.release, order.release.artifacts.digest)
        return self.running and (self.release, self.digest) == wanted


@dataclass(frozen=True)
class DockerHost:
    """`command` is a docker that has Compose; `environ` says which engine. Raises `UserError` in the engine's words."""

    command: str
    environ: Mapping[str, str] = field(repr=False)
    project: str
    files: tuple[Path, ...]

    def containers(self) -> dict[str, Container]:
        """By service, running or not."""
        found: dict[str, Container] = {}
        for described in self._described():
            container = _container(described)
            found[container.service] = container
        return found

    def up(self, service: str, variables: Mapping[str, str], *options: str) -> None:
        """Create and start the container of `service` as the files say, and nothing else."""
        self._compose(variables, "up", "--detach", "--no-deps", *options, service)

    def configuration(self, variables: Mapping[str, str]) -> dict[str, Any]:
        """The files as Compose reads them."""
        found: dict[str, Any] = json.loads(self._compose(variables, "config", "--format", "json"))
        return found

    def pull(self, image: str) -> None:
        """Fetch `image`, named by its digest; one that is here is the same one, even when its registry is down."""
        if self.call("image", "inspect", image).returncode != 0:
            self.run("pull", "--quiet", image)

    def logs(self, container: Container, lines: int) -> list[str]:
        """The last lines that it wrote and that say something."""
        done = self.call("logs", "--tail", str(lines), container.id)
        return [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]

    def stop(self, container: Container, grace_s: int | None = None) -> None:
        """Ask it to end, and kill it after `grace_s` seconds, else after those of its file."""
        self.run("stop", *([] if grace_s is None else ["--time", str(grace_s)]), container.id)

    def remove(self, container: Container) -> None:
        self.run("rm", "--force", "--volumes", container.id)

    def execute(self, container: Container, words: Sequence[str], stdin: str = "") -> str:
        """What a command in a running container prints."""
        return self.run("exec", "--interactive", container.id, *words, stdin=stdin)

    def fence(self) -> int:
        """The highest that was remembered here; 0 at first."""
        names = self.run(
            "volume", "ls", "--filter", f"name={self._fence('')}", "--format", "{{.Name}}"
        ).split()
        numbers = (name.removeprefix(self._fence("")) for name in names)
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def remember(self, fence: int) -> None:
        """Keep `fence` on the host, in the name of an empty volume: labels of a running container can't change."""
        before = self.fence()
        if fence > before:
            # With both labels, `docker compose down --volumes` takes it away too.
            labels = (f"--label={_PROJECT}={self.project}", f"--label={_VOLUME}=fence-{fence}")
            self.run("volume", "create", *labels, self._fence(str(fence)))
            if before:
                self.call("volume", "rm", self._fence(str(before)))

    def _fence(self, number: str) -> str:
        return f"{self.project}_fence_{number}"

    def _described(self) -> list[dict[str, Any]]:
        """One that goes away between the two questions is asked for anew."""
        for _ in range(5):
            listed = self.run(
                "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_PROJECT}={self.project}"
            )
            if not listed.split():
                return []
            done = self.call("container", "inspect", *listed.split())
            if done.returncode == 0:
                found: list[dict[str, Any]] = json.loads(done.stdout)
                return found
        raise UserError(
            f"The engine can't describe the containers of {self.project}: {last_line(done.stderr)}"
        )

    def _compose(self, variables: Mapping[str, str], *words: str) -> str:
        files = [word for path in self.files for word in ("--file", str(path))]
        return self.run("compose", "--project-name", self.project, *files, *words, variables=variables)

    def run(self, *words: str, stdin: str = "", variables: Mapping[str, str] | None = None) -> str:
        done = self.call(*words, stdin=stdin, variables=variables)
        if done.returncode != 0:
            raise UserError(f"docker {words[0]} failed: {last_line(done.stderr or done.stdout)}")
        return done.stdout

    def call(
        self, *words: str, stdin: str = "", variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self.command, *words],
                env={**self.environ, **(variables or {})},
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"docker {words[0]} did not end within {PATIENCE_S} s.") from None


def find_docker(environ: Mapping[str, str]) -> str:
    """The first docker with a Compose that is new enough; raises `UserError` that says what was found instead."""
    tried = []
    for command in candidates(environ):
        try:
            done = subprocess.run(
                [command, "compose", "version", "--short"],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            tried.append(f"{command}: {error}")
            continue
        numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout.strip())
        if done.returncode == 0 and (numbers is None or tuple(map(int, numbers.groups())) >= OLDEST_COMPOSE):
            return command
        tried.append(f"{command}: {last_line(done.stderr or done.stdout, first=True)}")
    found = f" ({'; '.join(tried)})" if tried else ""
    raise UserError(
        f"No docker command with Compose {'.'.join(map(str, OLDEST_COMPOSE))} or newer was found{found}.",
        "Install Docker's compose plugin, or name a command in the variable DOCKER.",
    )


def _container(described: Mapping[str, Any]) -> Container:
    config, state = described["Config"], described["State"]
    labels = dict(config.get("Labels") or {})
    return Container(
        id=str(described["Id"]),
        service=labels.get(_SERVICE, ""),
        image=str(config["Image"]),
        running=bool(state["Running"]) and not state.get("Restarting") and not state.get("Paused"),
        restarts=int(described.get("RestartCount") or 0),
        exit_code=int(state["ExitCode"]),
        labels=labels,
    )
