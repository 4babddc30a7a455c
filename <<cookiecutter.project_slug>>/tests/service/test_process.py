"""The service as a process: clients that nobody here wrote, slow clients, and a stop under load."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serving
from serving import Process, Served
from tritonclient import http as triton

SECONDS = 60  # for anything to happen on a busy machine


@pytest.fixture(scope="module")
def process(two_classes: Path) -> Iterator[Process]:
    running = Process(two_classes, SERVING_BODY_TIMEOUT_SECONDS="0.3", SERVING_DRAIN_SECONDS="0")
    yield running
    running.process.send_signal(signal.SIGTERM)
    code, said = running.end()
    assert code == 0
    assert json.loads(said.splitlines()[-1])["message"] == "stopped"


def test_a_triton_client_gets_the_models_answers(process: Process, two_classes: Path) -> None:
    served = serving.serve(two_classes)
    # The protocol's arrays have no place for a missing value.
    records = [record for record in served.records(60) if None not in record.values()][:4]
    wanted = served.predict(*records).json()["predictions"]
    client = triton.InferenceServerClient(
        f"127.0.0.1:{process.port}", connection_timeout=SECONDS, network_timeout=SECONDS
    )
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("example")
    inputs = []
    for tensor in client.get_model_metadata("example")["inputs"]:
        values = [record[tensor["name"]] for record in records]
        made = triton.InferInput(tensor["name"], [len(values)], tensor["datatype"])
        kind = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}[tensor["datatype"]]
        made.set_data_from_numpy(np.array(values, dtype=kind), binary_data=False)
        inputs.append(made)
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in ("y_pred", "y_score")]
    answered = client.infer("example", inputs, outputs=outputs, request_id="one")
    assert answered.get_response()["id"] == "one"
    assert np.allclose(answered.as_numpy("y_score"), [row["probabilities"]["Yes"] for row in wanted], atol=1e-9)
    assert [str(label) for label in answered.as_numpy("y_pred")] == [row["prediction"] for row in wanted]
    client.close()


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def head(length: int) -> bytes:
    lines = ["POST /predict HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_slow_client_is_sent_away_and_holds_up_nobody(process: Process, served: Served) -> None:
    body = json.dumps({"records": served.records(1)}).encode()
    with opened(process.port) as slow:
        slow.sendall(head(len(body)) + body[:10])
        status, _ = ask(http.client.HTTPConnection("127.0.0.1", process.port, timeout=SECONDS), body)
        assert status == 200
        answered = http.client.HTTPResponse(slow)
        answered.begin()
        assert answered.status == 408
        assert "0.3 s" in json.loads(answered.read())["error"]
        assert answered.headers["connection"] == "close"


def test_clients_that_hang_up_leave_no_fault_behind(process: Process, served: Served) -> None:
    for _ in range(20):
        with opened(process.port) as gone:
            gone.sendall(head(1000) + b"{")
    body = json.dumps({"records": served.records(1)}).encode()
    status, _ = ask(http.client.HTTPConnection("127.0.0.1", process.port, timeout=SECONDS), body)
    assert status == 200
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=SECONDS)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    counts = re.findall(r'^serving_requests_total.*status="500".* (\S+)$', text, re.MULTILINE)
    assert set(counts) == {"0.0"}


def ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bool]:
    """One request; the status, and whether the server will close the connection."""
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    answered = connection.getresponse()
    answered.read()
    return answered.status, answered.headers.get("connection") == "close"


def test_a_stop_under_load_drops_no_accepted_request(two_classes: Path, served: Served) -> None:
    process = Process(two_classes, SERVING_DRAIN_SECONDS="2")
    body = json.dumps({"records": served.records(1)}).encode()
    statuses: list[list[int]] = [[] for _ in range(4)]
    faults: list[Exception] = []
    warm = threading.Barrier(5)

    def client(mine: list[int]) -> None:
        """Ask until the server says that it is leaving, as a load balancer does."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=SECONDS)
            mine.append(ask(connection, body)[0])
            warm.wait(SECONDS)
            closing = False
            while not closing:
                status, closing = ask(connection, body)
                mine.append(status)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=client, args=(mine,)) for mine in statuses]
    for thread in threads:
        thread.start()
    with opened(process.port) as unfinished:
        unfinished.sendall(head(len(body)) + body[:10])
        warm.wait(SECONDS)
        process.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(SECONDS)
        ready: Any = http.client.HTTPConnection("127.0.0.1", process.port, timeout=SECONDS)
        ready.request("GET", "/v2/health/ready")
        assert ready.getresponse().status == 503
        unfinished.sendall(body[10:])
        answered = http.client.HTTPResponse(unfinished)
        answered.begin()
        assert answered.status == 200
    code, said = process.end()
    assert faults == []
    assert {status for mine in statuses for status in mine} == {200}
    assert all(len(mine) >= 2 for mine in statuses)
    assert code == 0
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["message"] for line in lines if line["message"] != "request"] == ["leaving", "stopped"]
    assert sum(line["message"] == "request" and line["status"] == 200 for line in lines) == sum(map(len, statuses)) + 1
