"""A container engine, driven by its command line: what the image verb needs of it, and nothing more."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gitops_ml.errors import UserError

# Ends a command that hangs; a pull or push of a large image on a slow line stays below it.
PATIENCE_S = 1800


@dataclass(frozen=True)
class Build:
    """What one build gets. `secrets` are files by id; no layer holds them."""

    context: Path
    dockerfile: Path
    tag: str
    arguments: Mapping[str, str]
    secrets: Mapping[str, Path] = field(default_factory=dict)
    network: str = ""


@dataclass(frozen=True)
class Image:
    """An image as the engine describes it; `size` in bytes, `references` as name@sha256:..."""

    id: str
    size: int
    user: str
    labels: Mapping[str, str]
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """A container's: `exit_code` has a meaning when it does not run."""

    running: bool
    exit_code: int
    out_of_memory: bool = False


class Engine(Protocol):
    """Raises `UserError` with the engine's own last line where it refuses."""

    def build(self, build: Build) -> None: ...

    def image(self, name: str) -> Image: ...

    def start(self, options: Sequence[str], image: str) -> str:
        """Run `image` in the background; returns the container's id."""
        ...

    def state(self, container: str) -> State: ...

    def port(self, container: str, inside: int) -> int:
        """The port of this machine's loopback at which the container's port `inside` is."""
        ...

    def logs(self, container: str) -> str:
        """The last lines that the container wrote."""
        ...

    def stop(self, container: str, grace_s: int) -> None:
        """Ask it to end, and kill it after `grace_s` seconds."""
        ...

    def remove(self, container: str) -> None: ...

    def push(self, image: str, target: str) -> None:
        """Give `image` the name `target` and send it to that registry."""
        ...

    def pull(self, image: str) -> None:
        """Have `image`, named by its digest, at hand."""
        ...


@dataclass(frozen=True)
class Docker:
    """`docker`, or a program with its command line."""

    command: str
    environ: Mapping[str, str] = field(repr=False)

    def build(self, build: Build) -> None:
        words = ["build", "--progress", "plain", "--file", str(build.dockerfile), "--tag", build.tag]
        for name, value in build.arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        for name, path in build.secrets.items():
            words += ["--secret", f"id={name},src={path}"]
        if build.network:
            words += ["--network", build.network]
        done = subprocess.run(
            [self.command, *words, str(build.context)], env=self._environ(), stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            raise UserError(
                f"The image could not be built: {self.command} build ended with exit code {done.returncode}.",
                "Its output is above.",
            )

    def image(self, name: str) -> Image:
        found = self._inspect("image", name)
        config = found.get("Config") or {}
        return Image(
            id=str(found["Id"]),
            size=int(found["Size"]),
            user=str(config.get("User") or ""),
            labels=dict(config.get("Labels") or {}),
            references=tuple(found.get("RepoDigests") or ()),
        )

    def start(self, options: Sequence[str], image: str) -> str:
        return self._run("run", "--detach", *options, image).strip()

    def state(self, container: str) -> State:
        found = self._inspect("container", container)["State"]
        return State(bool(found["Running"]), int(found["ExitCode"]), bool(found.get("OOMKilled")))

    def port(self, container: str, inside: int) -> int:
        lines = self._run("port", container, f"{inside}/tcp").splitlines()
        if not lines:
            raise UserError(f"The engine published no port for {inside} of the container.")
        return int(lines[0].rpartition(":")[2])

    def logs(self, container: str) -> str:
        done = self._call("logs", "--tail", "100", container)
        return done.stdout + done.stderr

    def stop(self, container: str, grace_s: int) -> None:
        self._run("stop", "--time", str(grace_s), container)

    def remove(self, container: str) -> None:
        self._call("rm", "--force", "--volumes", container)

    def push(self, image: str, target: str) -> None:
        self._run("tag", image, target)
        self._run("push", target)

    def pull(self, image: str) -> None:
        # Its first line is a warning where the platform is another one; the last says what went wrong.
        self._run("pull", "--quiet", image)

    def _inspect(self, kind: str, name: str) -> dict[str, Any]:
        done = self._call(kind, "inspect", name)
        if done.returncode != 0:
            raise UserError(
                f"The engine has no {kind} {name}.", "Build it first: make image" if kind == "image" else ""
            )
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found

    def _run(self, *words: str) -> str:
        done = self._call(*words)
        if done.returncode != 0:
            raise UserError(f"{self.command} {words[0]} failed: {last_line(done.stderr or done.stdout)}")
        return done.stdout

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self.command, *words],
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{self.command} {words[0]} did not end within {PATIENCE_S} s.") from None

    def _environ(self) -> dict[str, str]:
        # Older clients build with BuildKit only when told to.
        return {**self.environ, "DOCKER_BUILDKIT": "1"}


def find(environ: Mapping[str, str], builds: bool = True) -> Docker:
    """The command in the variable DOCKER, else the first `docker` on PATH; when it `builds`, one that has BuildKit.

    Raises `UserError` when there is none, or when its engine does not answer.
    """
    tried = []
    for command in candidates(environ):
        docker = Docker(command, environ)
        try:
            helped = docker._call(*(["build", "--help"] if builds else ["--help"]))
        except OSError as error:
            tried.append(f"{command}: {error.strerror}")
            continue
        # A client that has lost its buildx prints an error instead of its options.
        if builds and "--secret" not in helped.stdout:
            tried.append(f"{command}: {last_line(helped.stderr or helped.stdout, first=True)}")
            continue
        answered = docker._call("version", "--format", "{{.Server.Version}}")
        if answered.returncode != 0:
            raise UserError(
                f"The engine behind {command} does not answer: {last_line(answered.stderr)}",
                "Start it, or say where it is in the variable DOCKER_HOST.",
            )
        return docker
    found = f" ({'; '.join(tried)})" if tried else ""
    if not builds:
        raise UserError(
            f"No docker command was found{found}.",
            "Install Docker, or name a command in the variable DOCKER.",
        )
    raise UserError(
        f"No docker command that builds with BuildKit was found{found}.",
        "Install Docker with its buildx component, or name a command in the variable DOCKER.",
    )


def candidates(environ: Mapping[str, str]) -> Iterator[str]:
    """The command in the variable DOCKER alone, else each `docker` on PATH."""
    given = environ.get("DOCKER")
    if given:
        yield given
        return
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder or os.curdir) / "docker"
        # A relative entry of PATH would let the checkout decide which program runs here.
        if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
            yield str(path)


def last_line(text: str, first: bool = False) -> str:
    """The last line of `text` that says something, at most 300 characters; the first one with `first`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    return lines[0 if first else -1][:300]
