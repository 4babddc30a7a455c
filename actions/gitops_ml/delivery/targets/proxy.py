"""HAProxy's runtime API: who gets traffic, how much, and what came of it. Nothing is reloaded, no connection is cut."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from gitops_ml.delivery.targets.docker_host import Container, DockerHost
from gitops_ml.errors import UserError

BACKEND = "model"
FULL_WEIGHT = 100
# What HAProxy calls the bits of srv_admin_state that a person or a run sets.
_FORCED_MAINTENANCE, _FORCED_DRAIN = 0x01, 0x08
# Debian's image has bash and no nc, Alpine's has nc and no bash. The port is on the container's own loopback.
_ASK = (
    'if command -v bash >/dev/null; then exec bash -c \'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "%s\\n" "$2" >&3'
    ' && cat <&3\' bash "$1" "$2"; fi; printf "%s\\n" "$2" | nc 127.0.0.1 "$1"'
)


@dataclass(frozen=True)
class Server:
    """One colour as the proxy sees it.

    `open`: it may get traffic as far as runs have decided; `status` is HAProxy's word on its health. `sessions` are
    requests under way or waiting, `answers` and `errors` are counted since the proxy started.
    """

    name: str
    open: bool
    status: str
    weight: int
    sessions: int = 0
    answers: int = 0
    errors: int = 0

    @property
    def up(self) -> bool:
        """Healthy and open."""
        return self.open and self.status.startswith(("UP", "no check"))

    @property
    def ready_in_drain(self) -> bool:
        """Healthy by the proxy's own checks, but kept from traffic."""
        return not self.open and self.status == "DRAIN"


@dataclass(frozen=True)
class Proxy:
    """The proxy in `container`, whose runtime API listens on `port` of the container's loopback."""

    host: DockerHost
    container: Container
    port: str

    def servers(self) -> dict[str, Server]:
        """By colour."""
        text = self._ask(f"show servers state {BACKEND};show stat {BACKEND} 4 -1")
        return {server.name: server for server in read_servers(text)}

    def maintain(self, name: str) -> None:
        """No traffic and no health checks."""
        self._set(name, "state maint")

    def drain(self, name: str) -> None:
        """No new request; what was begun goes on, and so do health checks."""
        self._set(name, "state drain")

    def distrust(self, name: str) -> None:
        """Out of traffic, and down until the proxy's own checks have found it healthy anew."""
        self._set(name, "state drain", "health down")

    def open(self, name: str, weight: int) -> None:
        """Traffic for it, in proportion to the weights of the others."""
        self._set(name, f"weight {weight}", "state ready")

    def weigh(self, name: str, weight: int) -> None:
        """Its part of the traffic; `FULL_WEIGHT` when it is alone."""
        self._set(name, f"weight {weight}")

    def _set(self, name: str, *settings: str) -> None:
        said = self._ask(";".join(f"set server {BACKEND}/{name} {setting}" for setting in settings)).strip()
        if said:
            raise UserError(f"The proxy refused `{', '.join(settings)}` for {name}: {said[:200]}")

    def _ask(self, command: str) -> str:
        return self.host.execute(self.container, ["sh", "-c", _ASK, "sh", self.port, command])


def read_servers(text: str) -> Iterator[Server]:
    """From `show servers state` followed by `show stat`, each a table whose first line names its columns."""
    lines = [line for line in text.splitlines() if line]
    starts = [index for index, line in enumerate(lines) if line.startswith("# ")]
    if len(starts) != 2:
        raise UserError(f"The proxy's answer is not understood: {text[:200]!r}")
    names = lines[starts[0]][2:].split()
    states = [dict(zip(names, line.split(), strict=False)) for line in lines[starts[0] + 1 : starts[1]]]
    asked = {state["srv_name"]: state for state in states}
    for row in csv.DictReader([lines[starts[1]][2:], *lines[starts[1] + 1 :]]):
        state = asked.get(row["svname"])
        if state is not None:
            yield _server(state, row)


def _server(state: dict[str, str], row: dict[str, str]) -> Server:
    def number(column: str) -> int:
        return int(row.get(column) or 0)

    # A connection that failed and was tried on the other colour is an error that no client saw.
    lost = number("econ") + number("eresp")
    answered = sum(number(f"hrsp_{kind}") for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other"))
    return Server(
        name=row["svname"],
        open=not int(state["srv_admin_state"]) & (_FORCED_MAINTENANCE | _FORCED_DRAIN),
        status=row["status"],
        weight=int(state["srv_uweight"]),
        sessions=number("scur") + number("qcur"),
        answers=answered + lost,
        errors=number("hrsp_5xx") + lost,
    )
