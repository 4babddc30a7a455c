"""Docker's own name server, which the engine of the tests does not have: a service has an address while it runs."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

ADDRESS, FOUND, NOT_THERE = 1, 0x8180, 0x8183


@contextmanager
def name_server(port: int, services: Mapping[str, int]) -> Iterator[None]:
    """Answer on the loopback's `port`: 127.0.0.1 for a service whose port takes connections, else NXDOMAIN."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listening:
        listening.bind(("127.0.0.1", port))
        thread = threading.Thread(target=_serve, args=(listening, services))
        thread.start()
        try:
            yield
        finally:
            # An empty message ends it.
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ending:
                ending.sendto(b"", ("127.0.0.1", port))
            thread.join()


def _serve(listening: socket.socket, services: Mapping[str, int]) -> None:
    while True:
        question, client = listening.recvfrom(4096)
        if not question:
            return
        listening.sendto(answer(question, services), client)


def answer(question: bytes, services: Mapping[str, int]) -> bytes:
    """The reply to one question of one label (RFC 1035, section 4)."""
    length = question[12]
    name = question[13 : 13 + length].decode()
    end = 12 + length + 6  # the label, the root, two numbers of two bytes
    asked = question[12:end]
    (kind,) = struct.unpack("!H", asked[-4:-2])
    if name not in services or not _open(services[name]):
        return question[:2] + struct.pack("!5H", NOT_THERE, 1, 0, 0, 0) + asked
    if kind != ADDRESS:
        return question[:2] + struct.pack("!5H", FOUND, 1, 0, 0, 0) + asked
    record = struct.pack("!3HIH4B", 0xC00C, ADDRESS, 1, 600, 4, 127, 0, 0, 1)
    return question[:2] + struct.pack("!5H", FOUND, 1, 1, 0, 0) + asked + record


def _open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
