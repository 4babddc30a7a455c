"""What the attacks are watched with sees what it has to see."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import egress
from tests.e2e.canary import Canary, files, leaks

_CONNECT = "import socket; socket.socket(socket.{family}, socket.{kind}).connect_ex(({address!r}, {port}))"


@pytest.mark.parametrize("before", range(4))
def test_a_secret_is_found_in_every_form(before: int, tmp_path: Path) -> None:
    canary = Canary("TOKEN")
    raw = canary.value.encode()
    mixed = os.urandom(before) + raw + os.urandom(2)
    hidden = {
        "plain": b"x" + raw,
        "base64": base64.b64encode(mixed),
        "url": base64.urlsafe_b64encode(mixed),
        "hex": mixed.hex().encode(),
        "backwards": raw[::-1],
        ".hidden/plain": raw,
    }
    for name, content in hidden.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "innocent").write_bytes(base64.b64encode(Canary("OTHER").value.encode()))
    found = leaks([canary], {"disk": files(tmp_path)})
    assert found == sorted(f"TOKEN: disk, {name}" for name in hidden)


def test_a_place_where_nothing_was_looked_at_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nothing was looked at"):
        leaks([Canary("TOKEN")], {"disk": files(tmp_path)})


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        ("AF_INET", "SOCK_STREAM", "127.0.0.1"),
        ("AF_INET6", "SOCK_STREAM", "::1"),
        ("AF_INET", "SOCK_DGRAM", "127.0.0.2"),
    ],
)
def test_whoever_a_child_connects_to_is_seen(family: str, kind: str, address: str, tmp_path: Path) -> None:
    """Through a shell, as a step of a job does; the port is closed, and asking is enough."""
    log = tmp_path / "log"
    code = _CONNECT.format(family=family, kind=kind, address=address, port=9)
    words = [*egress.command(log), "bash", "-c", 'true; "$0" -c "$1"; true', sys.executable, code]
    subprocess.run(words, check=True)
    seen = egress.connections(log)
    assert {(one.address, one.port) for one in seen} == {(address, 9)}
    shown = f"[{address}]" if ":" in address else address
    assert egress.beyond(seen, f"http://{shown}:9") == []
    assert egress.beyond(seen, f"http://{shown}:10", "http://localhost:8080") == sorted(seen)


def test_what_is_sent_without_a_connection_is_seen_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.3', 9))"
    subprocess.run([*egress.command(log), sys.executable, "-c", code], check=True)
    assert {(one.address, one.port) for one in egress.connections(log)} == {("127.0.0.3", 9)}
