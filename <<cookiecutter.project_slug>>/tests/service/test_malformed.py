"""A storm of nonsense on a real server: every request is answered, none is a fault, and memory stays what it was.

Valid requests are the seeds, in which a generator of a fixed seed breaks values, keys, bytes, headers and addresses.
`MALFORMED_REQUESTS` sets how many there are.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import random
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import serving
from serving import Process

from << cookiecutter.package_name >>.service import inference_routes, schema

REQUESTS = int(os.environ.get("MALFORMED_REQUESTS", "1000"))
SECONDS = 60
INFER = "/v2/models/example/infer"
# Room for what allocators keep; of 10,000 requests, less than 1 KiB each.
MOST_GROWTH_MIB = 6
ODD: list[Any] = [
    *(None, True, -1, 0, 1e308, -1e-320, 2**53, 2**63, 10**400, "", " ", "\0", "nan", "9" * 5000, "\U0001f600" * 40),
    *([], {}, [[]], {"": {}}, [None] * 50, {"size": 1}, "2025-13-45", "0001-01-01", "9999-12-31T23:59:60+99:99"),
]
TYPES = ["application/json", "", "text/plain", "application/json; charset=utf-16", "application/xml", "\t", "a" * 300]
PLACES = ["/predict", INFER, "/predict?explain=1", "/predict?explain=%ff", INFER + "/", "/v2/models/%2e%2e", "/%00"]
METHODS = ["POST", "POST", "POST", "PUT", "GET", "DELETE", "PATCH", "OPTIONS", "HEAD"]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    body: bytes
    headers: dict[str, str]


class Breaker:
    """Makes broken requests out of valid ones; equal seeds make equal requests."""

    def __init__(self, valid: list[tuple[str, dict[str, Any]]], seed: int) -> None:
        self._valid = valid
        self._random = random.Random(seed)

    def request(self) -> Asked:
        path, body = self._random.choice(self._valid)
        method, kind = "POST", "application/json"
        broken = copy.deepcopy(body)
        for _ in range(self._random.randint(1, 3)):
            broken = self._value(broken)
        data = json.dumps(broken, ensure_ascii=self._random.random() < 0.5).encode("utf-8", "replace")
        if self._random.random() < 0.4:
            data = self._bytes(data)
        if self._random.random() < 0.1:
            path, method = self._random.choice(PLACES), self._random.choice(METHODS)
        if self._random.random() < 0.05:
            kind = self._random.choice(TYPES)
        return Asked(method, path, data, {"content-type": kind})

    def _value(self, value: Any) -> Any:
        """The value with one part of it replaced, left out, doubled or under another name."""
        if isinstance(value, dict) and value and self._random.random() < 0.85:
            name = self._random.choice(list(value))
            chance = self._random.random()
            if chance < 0.1:
                del value[name]
            elif chance < 0.2:
                value[name + self._random.choice(["", " ", "\0", "x"])] = value.pop(name)
            else:
                value[name] = self._value(value[name])
            return value
        if isinstance(value, list) and value and self._random.random() < 0.85:
            place = self._random.randrange(len(value))
            if self._random.random() < 0.2:
                return value + value[place:]
            value[place] = self._value(value[place])
            return value
        return copy.deepcopy(self._random.choice(ODD))

    def _bytes(self, data: bytes) -> bytes:
        place = self._random.randrange(len(data) + 1)
        return self._random.choice(
            [
                data[:place],
                data[place:],
                data[:place] + self._random.randbytes(4) + data[place:],
                data[:place] + self._random.randbytes(1) + data[place + 1 :],
                data + data,
                b"[" * place + data,
            ]
        )


@pytest.fixture(scope="module")
def breaker(two_classes: Path) -> Breaker:
    served = serving.serve(two_classes)
    rows = {"records": served.records(3)}
    return Breaker(
        [
            ("/predict", schema.predict_example(served.contract)),
            ("/predict", rows),
            ("/predict?explain=true", schema.predict_example(served.contract)),
            (INFER, inference_routes.infer_example(served.contract)),
        ],
        seed=0,
    )


def send(port: int, requests: list[Asked]) -> Counter[int]:
    """Ask one after the other on one connection, which the server may close; how often each status came."""
    statuses: Counter[int] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    for asked in requests:
        connection.request(asked.method, asked.path, asked.body, asked.headers)
        answered = connection.getresponse()
        body = answered.read()
        statuses[answered.status] += 1
        if answered.status >= 400 and asked.method != "HEAD":
            said = json.loads(body)
            assert said["error"], asked
            assert "\n" not in said["error"], asked
            assert answered.headers["x-request-id"] == said["request_id"], asked
        assert answered.status < 500, (asked, body)
    connection.close()
    return statuses


def resident_mib(process: Process) -> float:
    """Memory that the process holds."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux' /proc")
def test_nonsense_is_refused_and_leaves_nothing_behind(process: Process, breaker: Breaker) -> None:
    requests = [breaker.request() for _ in range(REQUESTS)]
    warm = max(REQUESTS // 5, 200)
    statuses = send(process.port, requests[:warm])
    before = resident_mib(process)
    statuses += send(process.port, requests[warm:])
    grown = resident_mib(process) - before
    print(f"{statuses.total()} requests, {dict(sorted(statuses.items()))}, {before:.0f} MiB and {grown:+.1f} MiB")
    assert statuses.total() == REQUESTS
    assert {200, 400, 422} <= set(statuses)
    assert statuses[422] + statuses[400] > REQUESTS / 2
    assert grown < MOST_GROWTH_MIB


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"POST /predict\r\n\r\n",
        b"BREW /predict HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /predict HTTP/9.9\r\nhost: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["nothing", "unversioned", "unknown", "version-9", "length", "chunk", "lengths", "TLS", "long"],
)
def test_what_is_not_http_is_refused_and_others_are_answered(process: Process, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", process.port), timeout=SECONDS) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answered = b""
        while block := client.recv(2**16):
            answered += block
    assert answered == b"" or answered.split()[1][:1] == b"4", answered[:200]
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=SECONDS)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 200
    connection.close()
