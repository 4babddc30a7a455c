"""The smoke test of an image: started as it would run, asked what the evaluation was asked, told to stop."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gitops_ml.checks import Check
from gitops_ml.engine import Engine, Image, last_line
from gitops_ml.golden import GoldenSet, differ
from gitops_ml.inputs import shown
from gitops_ml.trial import HARDENED, Trial, ended, tried

ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
READY = "/v2/health/ready"
# Some rows one by one, as most clients send them; the others together, as the service may treat them differently.
SINGLE_ROWS = 5
BATCH_ROWS = 50


@dataclass(frozen=True)
class Expected:
    """What the image has to say of itself; an empty `commit` is not compared."""

    model_hash: str
    data_hash: str
    commit: str


@dataclass(frozen=True)
class Plan:
    """`ready_s` and `grace_s`: seconds to become ready, and to end after the stop signal."""

    image: str
    expected: Expected
    golden: GoldenSet
    network: str = ""
    ready_s: float = 120
    grace_s: int = 40
    options: tuple[str, ...] = HARDENED


@dataclass(frozen=True)
class Summary:
    """`smoke.json`; `ready_s` is None when it never was ready."""

    image: str
    image_id: str
    size_bytes: int
    ok: bool
    ready_s: float | None
    stop_s: float | None
    golden_rows: int
    largest_difference: float | None
    checks: tuple[Check, ...]
    schema: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


class NoAnswerError(Exception):
    """Nothing, or no HTTP, came back."""


@dataclass(frozen=True)
class Client:
    """HTTP to one port of the loopback, past any proxy that the environment names."""

    port: int
    timeout_s: float = 30

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request on a connection of its own; raises `NoAnswerError`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            response = connection.getresponse()
            content = response.read(ANSWER_LIMIT_BYTES)
            headers = {name.lower(): value for name, value in response.getheaders()}
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"{method} {path} got no answer ({type(error).__name__})") from None
        finally:
            connection.close()
        try:
            return Answer(response.status, headers, json.loads(content) if content else None)
        except (ValueError, RecursionError):
            return Answer(response.status, headers, content.decode("utf-8", "replace"))


@dataclass
class _Run:
    """The container under test and what was found so far."""

    engine: Engine
    plan: Plan
    image: Image
    say: Callable[[str], None]
    release: str = field(default_factory=lambda: f"smoke-{secrets.token_hex(4)}")
    checks: list[Check] = field(default_factory=list)
    ready_s: float | None = None
    stop_s: float | None = None
    largest: float | None = None

    def note(self, name: str, problem: str, fine: str) -> bool:
        check = Check(name, not problem, problem or fine)
        self.checks.append(check)
        self.say(check.line)
        return check.ok


def smoke(engine: Engine, plan: Plan, say: Callable[[str], None] = print) -> Summary:
    """Run every check; a line for each goes to `say` when it is known. The container is removed in any case."""
    run = _Run(engine, plan, engine.image(plan.image), say)
    run.note("image", *_labelled(run.image, plan.expected))
    started = time.monotonic()
    with tried(engine, plan.image, _environment(run), plan.network, plan.options) as trial:
        _probe(run, trial, started)
    return Summary(
        image=plan.image,
        image_id=run.image.id,
        size_bytes=run.image.size,
        ok=all(check.ok for check in run.checks),
        ready_s=run.ready_s,
        stop_s=run.stop_s,
        golden_rows=len(plan.golden.rows),
        largest_difference=run.largest,
        checks=tuple(run.checks),
    )


def _probe(run: _Run, trial: Trial, started: float) -> None:
    engine, plan, container = run.engine, run.plan, trial.container
    client = Client(trial.port)
    problem = _await_ready(engine, container, client, started + plan.ready_s)
    seconds = time.monotonic() - started
    if not run.note("ready", problem, f"after {seconds:.1f} s"):
        return
    run.ready_s = round(seconds, 3)
    for check, ask in (("version", _version), ("predictions", _predictions), ("bad request", _bad_request)):
        try:
            problem, fine = ask(run, client)
        except NoAnswerError as error:
            problem, fine = str(error), ""
        run.note(check, problem, fine)
    run.note("stop", *_stop(run, container))


def _environment(run: _Run) -> dict[str, str]:
    # A deployment names release and digest like this; a service that ignores it could not say what it is.
    return {"RELEASE_ID": run.release, "IMAGE_DIGEST": run.image.id}


def _labelled(image: Image, expected: Expected) -> tuple[str, str]:
    """Problem and praise for what the image says before it runs."""
    if image.user.partition(":")[0] in ("", "0", "root"):
        return "runs as root; set USER in the Dockerfile", ""
    labels = {"gitops-ml.model-hash": expected.model_hash, "gitops-ml.data-hash": expected.data_hash}
    if expected.commit:
        labels["org.opencontainers.image.revision"] = expected.commit
    for label, value in labels.items():
        if image.labels.get(label) != value:
            return (
                f"label {label} is {shown(str(image.labels.get(label)))}, expected {value!r}; build it again",
                "",
            )
    return "", f"{image.size / 1e6:.0f} MB, user {image.user}, labels name model, data and commit"


def _await_ready(engine: Engine, container: str, client: Client, deadline: float) -> str:
    """Wait for 200; returns why there was none."""
    last = "nothing answered"
    while time.monotonic() < deadline:
        state = engine.state(container)
        if not state.running:
            return ended(state, engine.logs(container))
        try:
            answer = client.ask("GET", READY)
        except NoAnswerError as error:
            last = str(error)
        else:
            if answer.status == 200:
                return ""
            last = f"GET {READY} answers {answer.status}"
        time.sleep(0.1)
    return f"not ready in time: {last}; the container's last line: {last_line(engine.logs(container))}"


def _version(run: _Run, client: Client) -> tuple[str, str]:
    answer = client.ask("GET", "/version")
    if answer.status != 200 or not isinstance(answer.body, dict):
        return f"GET /version answers {answer.status}", ""
    expected = run.plan.expected
    wanted = {"release": run.release, "image_digest": run.image.id, "model_hash": expected.model_hash}
    wanted["data_hash"] = expected.data_hash
    if expected.commit:
        wanted["commit"] = expected.commit
    for name, value in wanted.items():
        if answer.body.get(name) != value:
            return f"{name} is {shown(str(answer.body.get(name)))}, expected {value!r}", ""
    if answer.headers.get("x-release") != run.release:
        return (
            f"the header x-release is {shown(str(answer.headers.get('x-release')))}, expected {run.release!r}",
            "",
        )
    return "", f"model {expected.model_hash[:12]}, commit {expected.commit[:12] or 'not compared'}"


def _predictions(run: _Run, client: Client) -> tuple[str, str]:
    rows = run.plan.golden.rows
    parts: list[Sequence[Any]] = [rows[index : index + 1] for index in range(min(SINGLE_ROWS, len(rows)))]
    parts += [rows[index : index + BATCH_ROWS] for index in range(SINGLE_ROWS, len(rows), BATCH_ROWS)]
    largest, wrong, first = 0.0, 0, ""
    for part in parts:
        answer = client.ask("POST", "/predict", {"records": [golden.record for golden in part]})
        found = answer.body.get("predictions") if isinstance(answer.body, dict) else None
        if answer.status != 200 or not isinstance(found, list) or len(found) != len(part):
            return f"{len(part)} rows of the evaluation got {answer.status}: {_said(answer)}", ""
        for golden, one in zip(part, found, strict=True):
            difference = differ(golden, one if isinstance(one, dict) else {})
            largest = max(largest, difference.size)
            wrong += bool(difference.text)
            first = first or difference.text
    run.largest = largest if largest < float("inf") else None
    if wrong:
        return f"{wrong} of {len(rows)} rows differ from the evaluation; {first}", ""
    left_out = run.plan.golden.left_out
    more = f"; {left_out} left out that lack a value the contract demands" if left_out else ""
    return "", f"{len(rows)} rows as evaluated, largest difference {largest:.1e}{more}"


def _bad_request(run: _Run, client: Client) -> tuple[str, str]:
    answer = client.ask("POST", "/predict", {"records": [{}]})
    if answer.status != 422:
        return f"a record without columns got {answer.status}, expected 422: {_said(answer)}", ""
    return "", f"422, {_said(answer)}"


def _said(answer: Answer) -> str:
    text = answer.body.get("error", answer.body) if isinstance(answer.body, dict) else answer.body
    return last_line(str(text), first=True)


def _stop(run: _Run, container: str) -> tuple[str, str]:
    state = run.engine.state(container)
    if not state.running:
        return ended(state, run.engine.logs(container)), ""
    started = time.monotonic()
    run.engine.stop(container, run.plan.grace_s)
    run.stop_s = round(time.monotonic() - started, 3)
    state = run.engine.state(container)
    if state.running or state.exit_code != 0:
        return f"exit code {state.exit_code} after the stop signal, grace period {run.plan.grace_s} s", ""
    return "", f"ended by itself after {run.stop_s:.1f} s"
