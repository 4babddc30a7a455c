"""To whom a run connects: every program that it starts, as the kernel sees it (strace)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.tools.required import need

# Calls that name an address; what is sent on a connection was seen when that was made.
_CALLS = "connect,sendto,sendmsg,sendmmsg"
_CALL = re.compile(r"^\d+<(?P<program>[^>]*)> +(?P<call>[a-z]+)\(")
_V4 = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([\d.]+)"\)')
# act looks for an address of this machine, by a route to the one and the name server for its host name.
_OF_ACT = re.compile(r'htons\(53\)|htons\(80\), sin_addr=inet_addr\("8\.8\.8\.8"\)')
_V6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([0-9a-f:.]+)"')


@dataclass(frozen=True, order=True)
class Connection:
    """`program` is the name of the thread that asked, or of the one that became it."""

    program: str
    address: str
    port: int


def command(log: Path) -> list[str]:
    """What to put before a command, so that `log` tells of it and of all that it starts."""
    return [
        *(str(need("strace")), "-f", "--seccomp-bpf", "--decode-pids=comm", "-qq"),
        *("-e", f"trace={_CALLS}", "-e", "signal=none", "-o", str(log)),
    ]


def connections(log: Path) -> set[Connection]:
    """Everyone on the network that `log` tells of, but for act's own look at this machine."""
    found = set()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        made = _CALL.match(line)
        if made is None or (made["program"] == "act" and _OF_ACT.search(line)):
            continue
        for port, address in (*_V4.findall(line), *_V6.findall(line)):
            found.add(Connection(made["program"], address, int(port)))
    return found


def beyond(seen: Iterable[Connection], *allowed: str) -> list[Connection]:
    """Those of `seen` that are not to one of the addresses `allowed`, such as `http://localhost:8080`."""
    doors = set()
    for address in allowed:
        parts = urlsplit(address)
        hosts = ("127.0.0.1", "::1") if parts.hostname == "localhost" else (parts.hostname,)
        doors |= {(host, parts.port) for host in hosts}
    # Port 0: the C library asks the kernel which way it would go, and sends nothing.
    return sorted(one for one in seen if (one.address, one.port) not in doors and one.port != 0)
