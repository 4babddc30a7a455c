"""Known requests to a generated service as a process of its own, and what they have to add up to."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.template.prometheus import SECONDS, until
from tests.template.workbench import Workbench

PREDICT = "/predict"
INFER = "/v2/models/{name}/infer"
# More than the half second at which ServiceSlow fires.
SLOW_S = 0.7


@dataclass
class Traffic:
    """Asks one service, and keeps account of it: answers by route and status, and what was in the rows."""

    port: int
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    predictions: list[Any] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def get(self, path: str) -> Any:
        connection = self.connection()
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def example(self, path: str) -> Any:
        """What the service's own description gives as an example of a request."""
        described = self.get("/openapi.json")["paths"][path]["post"]
        return described["requestBody"]["content"]["application/json"]["example"]

    def ask(self, body: bytes, route: str = PREDICT) -> int:
        """Send a request and note its answer."""
        connection = self.connection()
        path = route.replace("{name}", "example")
        connection.request("POST", path, body, {"content-type": "application/json"})
        return self.note(connection.getresponse(), route)

    def note(self, answered: http.client.HTTPResponse, route: str = PREDICT) -> int:
        said = json.loads(answered.read())
        self.answers[route, str(answered.status)] += 1
        for row in said.get("predictions", []):
            self.predictions.append(row["prediction"])
            self.scores.append(row["probabilities"]["Yes"] if "probabilities" in row else row["prediction"])
        for output in said.get("outputs", []):
            kept = {"y_pred": self.predictions, "y_score": self.scores}[output["name"]]
            kept.extend(output["data"])
        return answered.status

    def rows(self, count: int, **changes: Any) -> None:
        """One request with `count` equal rows: the example with changes."""
        record = self.example(PREDICT)["records"][0] | changes
        assert self.ask(json.dumps({"records": [record] * count}).encode()) == 200

    def slow_with_overload(self, others: int) -> None:
        """One request whose body takes its time, while a service with one place sends `others` away."""
        body = json.dumps(self.example(PREDICT)).encode()
        slow = self.connection()
        slow.putrequest("POST", PREDICT)
        slow.putheader("content-type", "application/json")
        slow.putheader("content-length", str(len(body)))
        slow.endheaders(body[:10])
        began = time.monotonic()
        # The first ones may come before the slow one has its place.
        until(lambda: self.ask(body) == 503, "a slow request takes the only place")
        for _ in range(others - 1):
            assert self.ask(body) == 503
        time.sleep(max(0.0, began + SLOW_S - time.monotonic()))
        slow.send(body[10:])
        assert self.note(slow.getresponse()) == 200


@contextmanager
def served(bench: Workbench, model: Path, log: Path, environ: Mapping[str, str]) -> Iterator[Traffic]:
    """The service of a model as a process, on a port that the system chooses; ends with SIGTERM."""
    package = next((bench.project / "src").iterdir()).name
    command = [".venv/bin/python", "-m", f"{package}.service", "--model", str(model), "serve", "--port=0"]
    own = {"PYTHONPATH": "src", "SERVING_DRAIN_SECONDS": "0"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=bench.project,
            env={**bench.environ, **own, **environ},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    def lines() -> list[str]:
        return log.read_text(encoding="utf-8").splitlines()

    def ready() -> bool:
        assert process.poll() is None, os.linesep.join(lines())
        return bool(lines())

    try:
        until(ready, "the service is ready")
        first = json.loads(lines()[0])
        assert first["message"] == "ready", first
        yield Traffic(first["port"])
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()
