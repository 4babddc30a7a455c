"""Too much, too many, too slow, or not JSON at all: an answer that says so, never a fault."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import serving
from httpx2 import ASGITransport, AsyncClient, Response
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from serving import Served

from << cookiecutter.package_name >>.service import app
from << cookiecutter.package_name >>.service.model import Answer, Model, Rows

JSON = {"content-type": "application/json"}


def test_an_oversize_body_is_refused_by_its_announced_length(served: Served) -> None:
    answered = served.client.post("/predict", content=b"", headers=JSON | {"content-length": str(2**40)})
    assert answered.status_code == 413
    assert "1048576 bytes" in answered.json()["error"]
    assert served.metric("serving_refused_total", reason="body_too_large") == 1


def test_an_oversize_body_is_refused_when_no_length_was_announced(two_classes: Path) -> None:
    served = serving.serve(two_classes, max_body_bytes=4096)
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b" " * 1024

    answered = served.client.post("/predict", content=endless(), headers=JSON)
    assert (answered.status_code, answered.headers["connection"]) == (413, "close")


def test_too_many_rows_are_refused(two_classes: Path) -> None:
    served = serving.serve(two_classes, max_rows=3)
    assert served.predict(*served.records(3)).status_code == 200
    answered = served.predict(*served.records(4))
    assert answered.status_code == 413
    assert answered.json()["error"].startswith("4 rows in one request; at most 3")
    body = {"inputs": [{"name": "size", "datatype": "FP64", "shape": [4], "data": [1.0] * 4}]}
    assert served.client.post("/v2/models/example/infer", json=body).status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_only_json_is_taken(served: Served, kind: str) -> None:
    answered = served.client.post(
        "/predict", content=json.dumps({"records": served.records(1)}), headers={"content-type": kind}
    )
    assert answered.status_code == 415
    assert "application/json" in answered.json()["error"]


def test_compressed_bodies_and_binary_tensors_are_refused_with_advice(served: Served) -> None:
    assert served.client.post("/predict", content=b"x", headers=JSON | {"content-encoding": "gzip"}).status_code == 415
    headers = JSON | {"inference-header-content-length": "9"}
    answered = served.client.post("/v2/models/example/infer", content=b"x", headers=headers)
    assert "binary_data=False" in answered.json()["error"]


@dataclass(frozen=True)
class Held(Model):
    """A model that answers when it is told to."""

    go: threading.Event = threading.Event()  # noqa: RUF009 (one event for the one test)

    def answer(self, rows: Rows) -> Answer:
        assert self.go.wait(60)
        return super().answer(rows)


def test_overload_is_told_at_once_and_what_was_taken_is_answered(two_classes: Path) -> None:
    served = serving.serve(two_classes, max_in_flight=2, threads=2)
    model, go = served.service.model, threading.Event()
    served.service.model = Held(model.contract, model.pipeline, model.hash, model.reference, None, go)
    body = {"records": served.records(1)}

    async def scenario() -> tuple[list[Response], Response, Response]:
        transport = ASGITransport(app.of(served.service))
        async with AsyncClient(transport=transport, base_url="http://service") as client:
            taken = [asyncio.create_task(client.post("/predict", json=body)) for _ in range(2)]
            while served.service.predicting.taken < 2:
                await asyncio.sleep(0)
            refused = await client.post("/predict", json=body)
            ready = await client.get("/v2/health/ready")
            go.set()
            return await asyncio.gather(*taken), refused, ready

    taken, refused, ready = asyncio.run(scenario())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert [answered.status_code for answered in taken] == [200, 200]
    assert ready.status_code == 200  # busy is not sick
    assert served.service.predicting.taken == 0
    assert served.metric("serving_refused_total", reason="overload") == 1


def test_requests_that_come_together_are_bounded_on_the_quick_way_too(two_classes: Path) -> None:
    served = serving.serve(two_classes, max_in_flight=3)
    assert served.service.model.encode is not None
    body = {"records": served.records(1)}

    async def scenario() -> list[Response]:
        transport = ASGITransport(app.of(served.service))
        async with AsyncClient(transport=transport, base_url="http://service") as client:
            return await asyncio.gather(*(client.post("/predict", json=body) for _ in range(40)))

    statuses = {answered.status_code for answered in asyncio.run(scenario())}
    assert statuses <= {200, 503}
    assert 200 in statuses
    assert served.service.predicting.taken == 0
    assert served.service.open_requests.taken == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
COLUMNS = ("size", "visits", "member", "city", "since")
RECORDS = st.fixed_dictionaries(dict.fromkeys(COLUMNS, VALUES)) | st.dictionaries(st.sampled_from(COLUMNS), VALUES)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(COLUMNS) | st.text(max_size=5),
        "shape": st.lists(st.integers(-1, 3), max_size=3) | VALUES,
        "datatype": st.sampled_from(["FP64", "INT64", "BOOL", "BYTES", "XX"]) | VALUES,
        "data": st.lists(VALUES, max_size=3) | VALUES,
    }
)
QUICK = hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@pytest.fixture(scope="module")
def patient(two_classes: Path) -> Served:
    return serving.serve(two_classes)


def never_a_fault(answered: Any) -> None:
    assert answered.status_code in {200, 400, 413, 422}, answered.text
    if answered.status_code != 200:
        body = json.loads(answered.content)
        assert body["error"]
        assert "\n" not in body["error"]


@QUICK
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_bytes_are_never_a_fault(patient: Served, body: bytes) -> None:
    for path in ("/predict", "/v2/models/example/infer"):
        never_a_fault(patient.client.post(path, content=body, headers=JSON))


@QUICK
@given(body=st.fixed_dictionaries({"records": st.lists(RECORDS, max_size=3) | VALUES}) | VALUES)
def test_malformed_records_are_never_a_fault(patient: Served, body: Any) -> None:
    never_a_fault(patient.client.post("/predict", content=json.dumps(body), headers=JSON))


@QUICK
@given(body=st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=5) | VALUES}))
def test_malformed_tensors_are_never_a_fault(patient: Served, body: Any) -> None:
    never_a_fault(patient.client.post("/v2/models/example/infer", content=json.dumps(body), headers=JSON))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"records":' * 5_000,
        b'{"records": [{"size": ' + b"9" * 5_000 + b"}]}",
        b'{"records": [{"size": NaN}]}',
        b'{"records": [{"size": 1e999}]}',
        b'{"records": [{"city": "\\ud800"}]}',
        b"\xef\xbb\xbf{}",
    ],
    ids=["deep list", "deep object", "long number", "NaN", "infinite", "half a character", "byte-order mark"],
)
def test_known_traps_of_json_are_refused(patient: Served, body: bytes) -> None:
    answered = patient.client.post("/predict", content=body, headers=JSON)
    never_a_fault(answered)
    assert answered.status_code != 200


@pytest.mark.parametrize("value", [1.7976931348623157e308, -1e300, 5e-324, 10**300])
def test_extreme_numbers_are_answered_or_refused(patient: Served, value: float) -> None:
    (record,) = patient.records(1)
    never_a_fault(patient.predict(record | {"size": value}))


@pytest.mark.parametrize(("value", "status"), [(2**53 - 1, 200), (2**53, 422), (2**53 + 1, 422), (-(2**53) - 1, 422)])
def test_whole_numbers_end_where_a_float_can_no_longer_tell_them_apart(
    patient: Served, value: int, status: int
) -> None:
    (record,) = patient.records(1)
    assert patient.predict(record | {"visits": value}).status_code == status
