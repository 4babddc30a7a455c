"""The service as a process: clients that nobody here wrote, slow clients, and a stop under load."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import pytest
import serving
from serving import Process, Served
from tritonclient import http as triton

from << cookiecutter.package_name >>.service import server, settings

SECONDS = 60  # for anything to happen on a busy machine


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


def test_a_signal_during_the_start_ends_it(two_classes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(two_classes, folder)
    held = folder / "contract.json"
    held.unlink()
    os.mkfifo(held)  # the start waits here until somebody writes
    command = [sys.executable, "-m", f"{serving.PACKAGE}.service", "--model", str(folder), "serve", "--port", "0"]
    starting = subprocess.Popen(command, cwd=serving.ROOT / "src", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with held.open("wb"):  # goes on when the service has opened it
        starting.send_signal(signal.SIGTERM)
        said, _ = starting.communicate(timeout=SECONDS)
    assert (starting.returncode, said) == (128 + signal.SIGTERM, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_just_before_the_server_runs_is_not_lost(
    number: signal.Signals, two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(server.Server, "run", lambda *_, **__: signal.raise_signal(number))
    try:
        with pytest.raises(SystemExit) as ended:
            server.run(settings.load({}, model_dir=two_classes, port=0))
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        prometheus_client.enable_created_metrics()
    assert ended.value.code == 128 + number


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
