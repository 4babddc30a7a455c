"""A real Prometheus on this machine's loopback, and its HTTP interface as far as the tests ask it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.tools.required import need

# For anything to happen on a busy machine.
SECONDS = 120
# What tells one series of a query from the others.
Labels = frozenset[tuple[str, str]]


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for `true`; `what` is said when it never came."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(0.1)


@dataclass(frozen=True)
class Prometheus:
    port: int

    def get(self, path: str, **given: str | list[str]) -> Any:
        """The `data` of an answer of the interface; a query that Prometheus refuses fails the test with its words."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(given, doseq=True)}"
        try:
            with urllib.request.urlopen(address, timeout=SECONDS) as answered:
                return json.load(answered)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{given}: {error.read().decode()}") from None

    def query(self, expression: str, at: float | None = None) -> dict[Labels, float]:
        """The series of an instant query at `at`, in seconds since 1970; NaN is a value like any other."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        found = self.get("query", query=expression, **when)
        assert found["resultType"] == "vector"
        return {
            frozenset((name, value) for name, value in one["metric"].items() if name != "__name__"): float(
                one["value"][1]
            )
            for one in found["result"]
        }

    def number(self, expression: str, at: float | None = None) -> float | None:
        """The value of a query of one series; None when there is none."""
        values = list(self.query(expression, at).values())
        assert len(values) <= 1, f"{expression} has {len(values)} series"
        return values[0] if values else None

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Every alerting rule by its name, as it was evaluated last."""
        groups = self.get("rules", type="alert")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}


@contextmanager
def running(folder: Path, configuration: dict[str, Any]) -> Iterator[Prometheus]:
    """Prometheus with this configuration; relative files in it are looked for in `folder`, which holds its data too."""
    written = folder / "running.yaml"
    written.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    command = [
        str(need("prometheus")),
        f"--config.file={written}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    found = Prometheus(port)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=SECONDS) as answered:
                return bool(answered.status == 200)
        except OSError:
            return False

    try:
        until(ready, "Prometheus is ready")
        yield found
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()
