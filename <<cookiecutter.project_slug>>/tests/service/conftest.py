"""Trained once per run: a model of two classes, one of three, and a regression, over columns of every type."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import serving
from serving import Process, Served
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the server's process."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.train(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="session")
def three_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.train(tmp_path_factory.mktemp("three"), classes=("high", "low", "middle"), kind=serving.TREES)


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.train(tmp_path_factory.mktemp("numbers"), task="regression")


@pytest.fixture(scope="session")
def process(two_classes: Path) -> Iterator[Process]:
    """One real server for all that leave it running; in the end its log has no fault, and each line is JSON."""
    running = Process(two_classes, SERVING_BODY_TIMEOUT_SECONDS="0.3", SERVING_DRAIN_SECONDS="0")
    yield running
    running.process.send_signal(signal.SIGTERM)
    code, said = running.end()
    lines = [json.loads(line) for line in said.splitlines()]
    assert (code, lines[-1]["message"]) == (0, "stopped")
    assert [line for line in lines if line["level"] == "error"] == []


@pytest.fixture
def served(two_classes: Path) -> Served:
    return serving.serve(two_classes)


@pytest.fixture(params=["two_classes", "three_classes", "numbers"])
def any_served(request: pytest.FixtureRequest) -> Served:
    return serving.serve(request.getfixturevalue(request.param))
