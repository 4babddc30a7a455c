"""What a release has to show of itself, asked over HTTP: a good service passes, and each fault fails its own check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from gitops_ml.delivery.proof import prove, ready_problem, wait_until
from gitops_ml.delivery.targets.base import Order, Reply, Request, Service
from gitops_ml.delivery.web import WebService

from tests.delivery.repositories import made
from tests.delivery.tiny_service import FAULTS, serve

ORDER = Order("staging", made("c" * 40, "b" * 64, 1, 1), fence=3)


@contextmanager
def running(fault: str = "", **changes: str) -> Iterator[WebService]:
    """The tiny service as the release of `ORDER`, on the loopback."""
    artifacts = ORDER.release.artifacts
    environ = {
        **ORDER.variables,
        "RELEASE_COMMIT": artifacts.commit,
        "MODEL_HASH": artifacts.model,
        "DATA_HASH": artifacts.data,
        "FAULT": fault,
        **changes,
    }
    server = serve(environ)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield WebService(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_service_that_is_the_release_and_works_is_proven() -> None:
    with running() as service:
        found = prove(service, ORDER)
    assert found == {"version": True, "smoke": True}
    assert not found.why


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("other release", "release is 'something-else', expected r-"),
        ("other image_digest", "image_digest is 'something-else', expected sha256:"),
        ("other commit", "commit is 'something-else'"),
        ("other model_hash", "model_hash is"),
        ("other data_hash", "data_hash is"),
        ("no version", "GET /version answers 404"),
        ("version is text", "GET /version answers 200"),
        ("no header", "the header x-release is 'None'"),
    ],
)
def test_a_service_that_says_it_is_something_else_fails_its_version(fault: str, said: str) -> None:
    with running(fault) as service:
        found = prove(service, ORDER)
    assert found["version"] is False
    assert f"version: {said}" in found.why


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("never ready", "GET /v2/health/ready answers 503"),
        ("no description", "GET /openapi.json answers 404"),
        ("no example", "without an example of POST /predict"),
        ("predicts nothing", "one prediction for each record"),
        ("fails", "its own example, sent to POST /predict, answers 500"),
        ("takes nonsense", "a record without columns answers 200, expected 422"),
        ("breaks on nonsense", "a record without columns answers 500"),
        ("no header", "the prediction came from 'None'"),
    ],
)
def test_a_service_that_does_not_work_fails_its_smoke_test(fault: str, said: str) -> None:
    with running(fault) as service:
        found = prove(service, ORDER)
    assert found["smoke"] is False
    assert said in found.why
    assert fault == "no header" or found["version"] is (fault not in ("no version", "version is text"))


def test_every_fault_of_the_tiny_service_is_noticed() -> None:
    for fault in set(FAULTS) - {""}:
        with running(fault) as service:
            assert not all(prove(service, ORDER).values()), fault


def test_nothing_that_answers_is_no_proof() -> None:
    with running() as service:
        gone = service
    found = prove(gone, ORDER)
    assert found == {"version": False, "smoke": False}
    assert "got no answer" in found.why


def test_waiting_for_readiness_ends_when_it_is_ready_or_when_the_time_is_over() -> None:
    class Slow:
        """Ready when it was asked three times."""

        def __init__(self, service: Service) -> None:
            self.service, self.asked = service, 0

        def ask(self, request: Request) -> Reply:
            self.asked += 1
            return self.service.ask(request) if self.asked > 2 else Reply(503)

    now, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    with running() as service:
        slow = Slow(service)
        assert wait_until(lambda: ready_problem(slow), 10, lambda: now[0], sleep) == ""
        assert len(pauses) == 2
    with running("never ready") as service:
        assert "answers 503" in wait_until(lambda: ready_problem(service), 10, lambda: now[0], sleep)
    assert now[0] >= 10
