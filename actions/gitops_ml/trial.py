"""A container that is tried on this machine: started as it would run, and gone afterwards."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gitops_ml.engine import Engine, State, last_line
from gitops_ml.errors import UserError

# What `deploy/compose.yaml` says, as options of `run`; a test holds the two together.
HARDENED = (
    "--read-only",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--cpus=1",
    "--memory=1g",
    "--pids-limit=128",
)
PORT = 8000


@dataclass(frozen=True)
class Trial:
    """A container and the port of the loopback at which it answers."""

    engine: Engine
    container: str
    port: int

    @property
    def ended(self) -> str:
        """Why it does not run any more, with its last words; empty while it runs."""
        state = self.engine.state(self.container)
        return "" if state.running else ended(state, self.engine.logs(self.container))


@contextmanager
def tried(
    engine: Engine,
    image: str,
    variables: Mapping[str, str],
    network: str = "",
    options: Sequence[str] = HARDENED,
    name: str = "",
) -> Iterator[Trial]:
    """Run `image` with `variables`, on a port that the kernel chooses; raises `UserError` when the engine refuses.

    A container that has this `name` already, left behind by a process that was killed, is removed first.
    """
    if name:
        engine.remove(name)
    else:
        name = f"gitops-ml-trial-{secrets.token_hex(4)}"
    words = [f"--name={name}", *options, *(f"--env={key}={value}" for key, value in variables.items())]
    # The name is known before the engine answers, so that nothing stays behind when this process is ended there.
    try:
        if network == "host":
            port = free_port()
            container = engine.start([*words, "--network=host", f"--env=SERVING_PORT={port}"], image)
        else:
            chosen = [f"--network={network}"] if network else []
            container = engine.start([*words, *chosen, f"--publish=127.0.0.1::{PORT}"], image)
            port = _published(engine, container)
        yield Trial(engine, container, port)
    finally:
        engine.remove(name)


def _published(engine: Engine, container: str) -> int:
    """The port of the loopback; 0 for a container that ended too early to have one, which the caller then finds."""
    try:
        return engine.port(container, PORT)
    except UserError:
        if engine.state(container).running:
            raise
        return 0


def free_port() -> int:
    """A port of the loopback that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ended(state: State, logs: str) -> str:
    """How a container ended, with the last line that it wrote."""
    why = "out of memory" if state.out_of_memory else f"exit code {state.exit_code}"
    return f"the container ended with {why}: {last_line(logs)}"
