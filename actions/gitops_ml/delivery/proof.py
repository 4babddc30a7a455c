"""What a release has to show where it runs: that it is the release, and that it answers as a model should."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitops_ml.checks import Check
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import Order, Reply, Request, Service
from gitops_ml.inputs import shown

READY = "/v2/health/ready"
PAUSE_S = 0.2
_JSON = {"content-type": "application/json"}
# A row without any column: the template's service names the first column that is missing.
_MALFORMED = b'{"records": [{}]}'


@dataclass(frozen=True, eq=False)
class Proof(Mapping[str, bool]):
    """The checks by name, as evidence keeps them; `checks` says what each of them found."""

    checks: tuple[Check, ...]

    def __getitem__(self, name: str) -> bool:
        for check in self.checks:
            if check.name == name:
                return check.ok
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (check.name for check in self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    @property
    def why(self) -> str:
        """What is wrong, or an empty text."""
        return "; ".join(f"{check.name}: {check.detail}" for check in self.checks if not check.ok)


def prove(service: Service, order: Order) -> Proof:
    """`version`: the service says that it is this release. `smoke`: it is ready, predicts, and refuses nonsense."""
    version, smoke = version_problem(service, order), smoke_problem(service, order)
    said = f"{short(order.release.release)}, {order.release.artifacts.digest[:19]}"
    return Proof(
        (
            Check("version", not version, version or said),
            Check(
                "smoke", not smoke, smoke or "ready; its own example is predicted, a malformed row refused"
            ),
        )
    )


def version_problem(service: Service, order: Order) -> str:
    """Why `/version` does not say that this is the release, or an empty text."""
    reply = service.ask(Request("/version"))
    said = _object(reply)
    if said is None:
        return f"GET /version {_status(reply)}"
    artifacts = order.release.artifacts
    wanted = {
        "release": order.release.release,
        "image_digest": artifacts.digest,
        "commit": artifacts.commit,
        "model_hash": artifacts.model,
        "data_hash": artifacts.data,
    }
    for name, value in wanted.items():
        if said.get(name) != value:
            return f"{name} is {shown(str(said.get(name)))}, expected {value}"
    header = reply.headers.get("x-release")
    if header != order.release.release:
        return f"the header x-release is {shown(str(header))}, expected {order.release.release}"
    return ""


def ready_problem(service: Service) -> str:
    """Why the service is not ready, or an empty text."""
    reply = service.ask(Request(READY))
    return "" if reply.status == 200 else f"GET {READY} {_status(reply)}"


def smoke_problem(service: Service, order: Order) -> str:
    """Why the service does not do what a service of a model does, or an empty text."""
    problem = ready_problem(service)
    if problem:
        return problem
    described = service.ask(Request("/openapi.json"))
    example = _example(_object(described) or {})
    if example is None:
        return f"GET /openapi.json {_status(described)}, without an example of POST /predict"
    return _prediction_problem(service, order, example) or _refusal_problem(service)


def wait_until(
    problem: Callable[[], str],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Ask `problem`, at least once, until it is empty; returns the last one when `seconds` are over."""
    deadline = clock() + seconds
    while True:
        last = problem()
        if not last:
            return ""
        if clock() >= deadline:
            return last
        sleep(PAUSE_S)


def _example(described: Mapping[str, Any]) -> Any:
    """The body that the service's own description gives for `POST /predict`, or None."""
    found: Any = described
    for key in ("paths", "/predict", "post", "requestBody", "content", "application/json"):
        found = found.get(key) if isinstance(found, dict) else None
    return found.get("example") if isinstance(found, dict) else None


def _prediction_problem(service: Service, order: Order, example: Any) -> str:
    reply = service.ask(Request("/predict", json.dumps(example).encode(), _JSON))
    said = _object(reply)
    if said is None:
        return f"its own example, sent to POST /predict, {_status(reply)}"
    predictions = said.get("predictions")
    records = example.get("records") if isinstance(example, dict) else None
    if not isinstance(predictions, list) or not isinstance(records, list) or len(predictions) != len(records):
        return "its own example got an answer that does not have one prediction for each record"
    if reply.headers.get("x-release") != order.release.release:
        return f"the prediction came from {shown(str(reply.headers.get('x-release')))}, not from this release"
    return ""


def _refusal_problem(service: Service) -> str:
    reply = service.ask(Request("/predict", _MALFORMED, _JSON))
    return "" if reply.status == 422 else f"a record without columns {_status(reply)}, expected 422"


def _object(reply: Reply) -> dict[str, Any] | None:
    """The JSON object of a reply with status 200, or None."""
    if reply.status != 200:
        return None
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _status(reply: Reply) -> str:
    text = shown(reply.body[:200].decode("utf-8", "replace"))
    if reply.status == 0:
        return f"got no answer ({text})"
    return f"answers {reply.status}" + (f" ({text})" if reply.status >= 400 and reply.body else "")
