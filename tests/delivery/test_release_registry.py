"""MLflow's Model Registry: releases are versions, aliases follow deployments, and nothing waits for the server."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.delivery import mlflow_server, model_registry
from gitops_ml.delivery.checkout import read_policy
from gitops_ml.delivery.model_registry import follow, is_trouble, register
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import Artifacts, Manifest, release_id, short

from tests.delivery import mlflow_process
from tests.delivery.repositories import git, made
from tests.delivery.site import IMAGE, PIPELINE, Site, sha256, trained, write
from tests.fakes.forge import Forge
from tests.tools import required


@pytest.fixture(scope="module")
def python() -> Path:
    return required.need("mlflow").with_name("python")


@pytest.fixture(scope="module")
def address(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_process.serving(python, tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def here(address: str) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": address}


@pytest.fixture
def down() -> Iterator[dict[str, str]]:
    """An address at which nobody listens, kept so that nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{taken.getsockname()[1]}"}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return read_policy({"environments/pipeline.yaml": PIPELINE.encode()})[0]


def manifest(name: str, number: int = 1, **parts: str) -> Manifest:
    """A release of the model `name`; `number` makes it differ from others."""
    plain = made("a" * 40, f"{number:064x}", number, number)
    artifacts = Artifacts(**{**plain.artifacts.model_dump(), **parts})
    changes = {"artifacts": artifacts, "release": release_id(artifacts), "model_name": name}
    return plain.model_copy(update=changes)


def versions(address: str, name: str) -> list[dict[str, Any]]:
    found = mlflow_process.ask(address, "model-versions/search", filter=f"name = '{name}'")
    return sorted(found.get("model_versions", []), key=lambda item: int(item["version"]))


def alias(address: str, name: str, alias_: str) -> str | None:
    found = mlflow_process.ask(address, "registered-models/alias", name=name, alias=alias_)
    return found.get("model_version", {}).get("version")


def test_a_release_becomes_one_version_that_names_it(here: dict[str, str], address: str) -> None:
    release = manifest("first")
    said = register(here, release)
    place = " (its run is not on this server, so it names the image)"
    assert said == f"MLflow has {short(release.release)} as version 1 of first{place}."
    assert register(here, release) == said
    (version,) = versions(address, "first")
    assert {tag["key"]: tag["value"] for tag in version["tags"]} == {
        "gitops-ml.release": release.release,
        "gitops-ml.commit": release.artifacts.commit,
        "gitops-ml.image": release.artifacts.image,
        "gitops-ml.model-hash": release.artifacts.model,
        "gitops-ml.data-hash": release.artifacts.data,
    }
    assert (version["source"], version["run_id"]) == (f"docker://{release.artifacts.image}", "")
    assert "version 2 of first" in register(here, manifest("first", 2))


def test_the_alias_brings_the_very_model_that_was_trained(
    here: dict[str, str], address: str, python: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    write(tmp_path / "model", {"model.skops": b"weights", "MLmodel": b"flavors: {}\n"})
    run = mlflow_process.log_model(python, address, tmp_path / "model", sha256(b"weights"), "second")
    release = manifest("second", run=run, model=sha256(b"weights"))
    assert "alias champion is now version 1 of second" in follow(here, pipeline, "production", release)
    (version,) = versions(address, "second")
    assert version["run_id"] == run
    got = mlflow_process.download(python, address, "models:/second@champion", tmp_path / "got")
    assert (got / "model.skops").read_bytes() == b"weights"
    # The same run, but not the model that this release is made of.
    other = manifest("second", 2, run=run, model=sha256(b"other"))
    register(here, other)
    assert versions(address, "second")[1]["source"] == f"docker://{other.artifacts.image}"


def test_aliases_follow_deployments_and_rollbacks(
    here: dict[str, str], address: str, pipeline: Pipeline
) -> None:
    one, two = manifest("third", 1), manifest("third", 2)
    for release in (one, two):
        register(here, release)
        follow(here, pipeline, "staging", release)
    follow(here, pipeline, "production", one)
    assert (alias(address, "third", "staging"), alias(address, "third", "champion")) == ("2", "1")
    said = follow(here, pipeline, "production", two)
    assert said == f"MLflow's alias champion is now version 2 of third, {short(two.release)}."
    assert follow(here, pipeline, "production", two) == said.replace("is now", "is")
    assert "is now version 1" in follow(here, pipeline, "production", one)
    assert (alias(address, "third", "staging"), alias(address, "third", "champion")) == ("2", "1")
    assert alias(address, "third", "production") is None
    assert len(versions(address, "third")) == 2


def test_what_a_server_missed_is_made_up_for_at_the_next_reconcile(
    here: dict[str, str], down: dict[str, str], address: str, pipeline: Pipeline
) -> None:
    release = manifest("fourth")
    for said in (register(down, release), follow(down, pipeline, "production", release)):
        assert is_trouble(said)
        assert "gets no answer" in said
        assert said.endswith(".")
    said = follow(here, pipeline, "production", release)
    assert not is_trouble(said)
    assert alias(address, "fourth", "champion") == "1"
    assert follow(here, pipeline, "production", manifest("fourth", 2)).startswith(
        "MLflow's alias champion is now"
    )
    assert is_trouble(follow(down, pipeline, "production", release))
    assert alias(address, "fourth", "champion") == "2"
    follow(here, pipeline, "production", release)
    assert alias(address, "fourth", "champion") == "1"


def test_of_versions_made_at_once_the_first_counts(here: dict[str, str], address: str) -> None:
    release = manifest("fifth")
    barrier = threading.Barrier(4)

    def job(_: int) -> str:
        barrier.wait()
        return register(here, release)

    with ThreadPoolExecutor(4) as jobs:
        said = list(jobs.map(job, range(4)))
    assert not [each for each in said if is_trouble(each)], said
    assert "version 1 of fifth" in register(here, release)
    assert versions(address, "fifth")[0]["version"] == "1"


def test_a_name_that_mlflow_keeps_for_itself_is_said(here: dict[str, str], pipeline: Pipeline) -> None:
    first = pipeline.environments[0].model_copy(update={"name": "v2"})
    other = pipeline.model_copy(update={"environments": (first, *pipeline.environments[1:])})
    said = follow(here, other, "v2", manifest("sixth"))
    assert is_trouble(said)
    assert "alias name 'v2' is reserved" in said


def test_a_release_without_a_name_is_called_like_its_image(here: dict[str, str], address: str) -> None:
    assert "of churn" in register(here, made("b" * 40, "c" * 64, 7, 7))
    assert versions(address, "churn")


def test_recording_registers_and_a_server_that_is_down_does_not_stop_it(
    forge: Forge, tmp_path: Path, here: dict[str, str], down: dict[str, str], address: str
) -> None:
    site = Site.make(forge, tmp_path)
    write(site.project, trained(git(site.project, "rev-parse", "HEAD")))
    contract = site.project / "model" / "contract.json"
    contract.write_text(json.dumps({**json.loads(contract.read_text()), "model_name": "seventh"}))
    words = ("record", "--image", f"{IMAGE}@sha256:{1:064x}")
    site.environ = down
    release = site.verb(*words)["release"]
    assert site.facts().releases[release].model_name == "seventh"
    assert versions(address, "seventh") == []
    site.environ = here
    assert site.verb(*words)["release"] == release
    (version,) = versions(address, "seventh")
    assert {"key": "gitops-ml.release", "value": release} in version["tags"]


@pytest.mark.parametrize("uri", [None, "", "sqlite:///mlflow.db", "mlruns", "file:///x", "databricks"])
def test_without_a_server_there_is_nothing_to_say(uri: str | None, pipeline: Pipeline) -> None:
    environ = {} if uri is None else {"MLFLOW_TRACKING_URI": uri}
    assert register(environ, manifest("x")) == ""
    assert follow(environ, pipeline, "staging", manifest("x")) == ""


@dataclass
class Stub:
    """A server that answers every request in one way, and remembers what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def stub() -> Iterator[Stub]:
    answers = Stub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers.seen.append(
                {"path": self.path, **{name.lower(): text for name, text in self.headers.items()}}
            )
            self.send_response(answers.status)
            for name, text in answers.headers.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(answers.body)

        do_GET = do_POST = answer  # noqa: N815 - names that the base class wants

        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        answers.address = f"127.0.0.1:{server.server_port}"
        yield answers
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>Sign in</html>", "no JSON object"),
        (200, b"[1]", "no JSON object"),
        (200, b'{"model_versions": 7}', "not MLflow's"),
        (200, b'{"model_versions": [{"name": "x"}]}', "not MLflow's"),
        (200, b"{}", "is not there"),
        (200, b"[" * 100_000, "no JSON object"),
        (200, b'{"x": "' + b"x" * mlflow_server.MAX_ANSWER_BYTES + b'"}', "no JSON object"),
        (302, b"", "status 302"),
        (401, b'{"message": "who?\\n::error::x"}', "status 401, who? ::error::x"),
        (500, b"oops", "status 500"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_an_answer_that_makes_no_sense_is_one_sentence(
    stub: Stub, status: int, body: bytes, said: str
) -> None:
    stub.status, stub.body = status, body
    stub.headers = {"Location": "http://other.invalid/"} if status == 302 else {}
    told = register({"MLFLOW_TRACKING_URI": f"http://{stub.address}"}, manifest("x"))
    assert is_trouble(told)
    assert said in told
    assert "\n" not in told


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("user", "environ", "expected"),
    [
        ("", {}, None),
        ("ann:s%40cret@", {}, basic("ann:s@cret")),
        ("", {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "s@cret"}, basic("ann:s@cret")),
        ("bob:x@", {"MLFLOW_TRACKING_TOKEN": "s@cret"}, "Bearer s@cret"),
    ],
    ids=["open", "in the address", "a password", "a token"],
)
def test_credentials_go_to_the_server_and_into_no_sentence(
    stub: Stub, user: str, environ: dict[str, str], expected: str | None
) -> None:
    stub.status = 403
    told = register({"MLFLOW_TRACKING_URI": f"http://{user}{stub.address}/team/", **environ}, manifest("x"))
    assert [seen.get("authorization") for seen in stub.seen] == [expected]
    assert stub.seen[0]["path"].startswith("/team/api/2.0/mlflow/model-versions/search?")
    assert "s@cret" not in told
    assert "s%40cret" not in told
    assert stub.address in told


@pytest.mark.parametrize(
    "environ",
    [
        {"MLFLOW_TRACKING_URI": "http://"},
        {"MLFLOW_TRACKING_URI": "https://host:port/"},
        {"MLFLOW_TRACKING_URI": "http://host", "MLFLOW_TRACKING_TOKEN": "two\nlines"},
    ],
)
def test_settings_that_cannot_be_meant_are_said(environ: dict[str, str]) -> None:
    assert is_trouble(register(environ, manifest("x")))


def test_a_version_of_another_release_is_not_taken_for_this_one(stub: Stub) -> None:
    """A server that does not know the filter answers with everything."""
    release = manifest("x")
    others = [
        {"name": "x", "version": "1", "tags": [{"key": "gitops-ml.release", "value": "r-other"}]},
        {"name": "y", "version": "2", "tags": [{"key": "gitops-ml.release", "value": release.release}]},
        {"name": "x", "version": "4", "tags": [{"key": "gitops-ml.release", "value": release.release}]},
        {"name": "x", "version": "3", "tags": [{"key": "gitops-ml.release", "value": release.release}]},
    ]
    stub.body = json.dumps({"model_versions": others}).encode()
    assert "version 3 of x" in register({"MLFLOW_TRACKING_URI": f"http://{stub.address}"}, release)
    assert model_registry.name_of(release) == "x"
