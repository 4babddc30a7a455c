"""An environment that is a tag: real images, run by a real engine, in a real registry, deployed by the verb itself."""

from __future__ import annotations

import http.client
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.checkout import find_state
from gitops_ml.delivery.oci import Repository
from gitops_ml.delivery.pipeline import Pipeline, Step
from gitops_ml.delivery.records import load_facts
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.status import rows
from gitops_ml.delivery.targets.base import FencedError, Order
from gitops_ml.delivery.targets.registry import Registry
from gitops_ml.delivery.targets.settings import RegistryTarget
from gitops_ml.engine import Build, Docker
from gitops_ml.errors import UserError

from tests.delivery import tiny_service
from tests.delivery.repositories import PIPELINE, commit, push
from tests.delivery.shop import Shop
from tests.delivery.truth import START, WORKFLOW
from tests.image.conftest import base, engine, registry, surroundings
from tests.tools.required import ROOT

__all__ = ["base", "engine", "registry"]

NUMBERS = itertools.count(1)
MODEL, DATA = "a" * 64, "d" * 64
DOCKERFILE = """ARG BASE
FROM ${BASE}
COPY tiny_service.py /app/
USER 65532:65532
ARG COMMIT MODEL DATA FAULT
ENV RELEASE_COMMIT=${COMMIT} MODEL_HASH=${MODEL} DATA_HASH=${DATA} FAULT=${FAULT}
CMD ["python3", "/app/tiny_service.py"]
"""


@dataclass
class Factory:
    """Makes releases whose images are the tiny service, in one repository of the registry."""

    engine: Docker
    base: str
    images: str
    folder: Path
    tags: list[str] = field(default_factory=list)

    def release(self, shop: Shop, fault: str = "") -> Manifest:
        """Merge a change of the source, build it, and record the release."""
        shop.number += 1
        head = commit(shop.clone, f"Change {shop.number}", src__model_py=f"version = {shop.number}\n")
        push(shop.clone)
        artifacts = Artifacts(
            commit=head,
            build_key=build_key(shop.git.entries(head)),
            image=self.image(head, fault),
            model=MODEL,
            data=DATA,
            run=f"run-{shop.number}",
            contract="c" * 64,
        )
        manifest = Manifest(
            release=release_id(artifacts), artifacts=artifacts, sequence=shop.count(), at=START
        )
        shop.record(manifest)
        return manifest

    def image(self, head: str, fault: str) -> str:
        shutil.copy2(tiny_service.__file__, self.folder / "tiny_service.py")
        dockerfile = self.folder / "Dockerfile"
        dockerfile.write_text(DOCKERFILE, encoding="utf-8")
        arguments = {"BASE": self.base, "COMMIT": head, "MODEL": MODEL, "DATA": DATA, "FAULT": fault}
        tag = f"{self.images}:{head[:12]}"
        self.tags.append(tag)
        self.engine.build(Build(self.folder, dockerfile, tag, arguments))
        self.engine.push(tag, tag)
        (reference,) = self.engine.image(tag).references
        return reference


@pytest.fixture
def factory(engine: Docker, base: str, registry: str, tmp_path: Path) -> Iterator[Factory]:
    folder = tmp_path / "factory"
    folder.mkdir()
    made = Factory(engine, base, f"{registry}/tests/tag-{os.getpid()}-{next(NUMBERS)}", folder)
    yield made
    for tag in made.tags:
        subprocess.run([engine.command, "rmi", "--force", tag], env=dict(engine.environ), capture_output=True)


@pytest.fixture
def street(shop: Shop, factory: Factory, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop, whose environments are tags; and a runner with an engine."""
    target = "target: {kind: registry, network: host}"
    policy = PIPELINE.replace("ghcr.io/octo/churn", factory.images)
    policy = policy.replace("follow: true}", "follow: true, " + target + "}").replace(
        "[version]", f"[version, smoke]\n    {target}"
    )
    commit(shop.clone, "Use the registry", environments__pipeline_yaml=policy)
    push(shop.clone)
    given = {name: value for name, value in surroundings().items() if name.startswith("DOCKER")}
    given |= {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "octo/churn", "DOCKER": factory.engine.command}
    for name, value in (given | {"GITHUB_WORKFLOW_REF": f"octo/churn/{WORKFLOW}"}).items():
        monkeypatch.setenv(name, value)
    for name in ("GITHUB_TOKEN", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return shop


def deploy(shop: Shop, environment: str = "staging", *words: str) -> int:
    return cli.main(["deploy", "--environment", environment, "--repository", str(shop.clone), *words])


def tagged(factory: Factory, environment: str = "staging") -> str | None:
    found = Repository(factory.images).find(environment)
    return None if found is None else found.digest


def containers(factory: Factory) -> list[str]:
    """What is left of trials."""
    words = [factory.engine.command, "ps", "--all", "--quiet", "--filter", "name=gitops-ml-trial-"]
    for image in factory.tags:
        words += ["--filter", f"ancestor={image}"]
    return subprocess.run(
        words, env=dict(factory.engine.environ), capture_output=True, text=True, check=True
    ).stdout.split()


def test_a_release_is_run_and_proven_and_then_its_tag_moves_all_the_way(
    street: Shop, factory: Factory, capfd: pytest.CaptureFixture[str]
) -> None:
    first = factory.release(street)
    assert deploy(street) == 0
    assert "staging: ok smoke: " in capfd.readouterr().out
    assert tagged(factory) == first.artifacts.digest
    facts = street.world().facts
    assert facts.evidence["staging", first.release][-1].checks == {"version": True, "smoke": True}
    before = find_state(street.git)
    assert deploy(street) == 0
    assert "staging: nothing: " in capfd.readouterr().out
    street.world()
    assert find_state(street.git) == before
    street.squash(street.branch(first))
    assert deploy(street, "production") == 0
    assert tagged(factory, "production") == first.artifacts.digest
    assert containers(factory) == []
    assert cli.main(["status", "--repository", str(street.clone)]) == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("dies", "the container ended with exit code 1: the model file does not fit its hash"),
        ("takes nonsense", "smoke: a record without columns answers 200, expected 422"),
        ("other model_hash", "version: model_hash is 'something-else'"),
    ],
)
def test_a_release_that_is_not_well_leaves_the_tag_where_it_is(
    street: Shop, factory: Factory, fault: str, said: str
) -> None:
    first = factory.release(street)
    assert deploy(street) == 0
    factory.release(street, fault)
    assert deploy(street) == 1
    assert tagged(factory) == first.artifacts.digest
    last = street.world().facts.history("staging")[-1]
    assert last.outcome is not None
    assert last.failed
    assert said in last.outcome.reason
    assert containers(factory) == []


def test_a_tag_that_was_moved_by_hand_is_written_down_and_brought_back(
    street: Shop, factory: Factory
) -> None:
    first = factory.release(street)
    assert deploy(street) == 0
    stray = factory.image("e" * 40, "")
    images = Repository(factory.images)
    found = images.find(stray.partition("@")[2])
    assert found is not None
    images.tag(found, "staging")
    assert deploy(street) == 0
    assert tagged(factory) == first.artifacts.digest
    (seen,) = street.world().facts.observed["staging"]
    assert (seen.release, seen.digest, seen.healthy) == (None, found.digest, False)


def test_an_image_that_is_gone_is_no_deployment(street: Shop, factory: Factory) -> None:
    first = factory.release(street)
    assert deploy(street) == 0
    second = factory.release(street)
    host, _, path = factory.images.partition("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("DELETE", f"/v2/{path}/manifests/{second.artifacts.digest}")
    assert connection.getresponse().status == 202
    connection.close()
    assert deploy(street) == 1
    last = street.world().facts.history("staging")[-1]
    assert last.outcome is not None
    assert "is not in the registry any more" in last.outcome.reason
    assert tagged(factory) == first.artifacts.digest


def registry_target(shop: Shop, factory: Factory) -> Registry:
    pipeline = Pipeline(schema=1, environments=(Step(name="staging", follow=True),), image=factory.images)
    facts = load_facts(shop.git, StateBranch(shop.git).fetch())
    settings = RegistryTarget(network="host")
    environ = surroundings() | {"DOCKER": factory.engine.command}
    return Registry(settings, "staging", pipeline, shop.clone, environ, facts)


def test_a_late_run_moves_no_tag(street: Shop, factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when it is late from the start, nor when a newer one begins while the release is tried."""
    first, second = factory.release(street), factory.release(street)
    assert deploy(street) == 0
    assert tagged(factory) == second.artifacts.digest
    late = registry_target(street, factory)
    fence = late.live().fence
    tries: list[Order] = []
    monkeypatch.setattr(Registry, "_try", lambda self, order: tries.append(order))
    with pytest.raises(FencedError):
        late.apply(Order("staging", first, fence - 1))
    assert tries == []
    monkeypatch.undo()
    on_time = registry_target(street, factory)
    tried = on_time._try

    def meanwhile(order: Order) -> object:
        proof = tried(order)
        third = factory.release(street)
        street.deploy("staging")
        tries.append(Order("staging", third, 0))
        return proof

    monkeypatch.setattr(on_time, "_try", meanwhile)
    with pytest.raises(FencedError):
        on_time.apply(Order("staging", first, fence))
    assert len(tries) == 1
    assert tagged(factory) == second.artifacts.digest


WAITING_DOCKER = """#!/bin/sh
# Starts the first container and then never comes back.
if [ "$1" = run ] && mkdir {folder}/begun 2>/dev/null; then
  {docker} "$@" >/dev/null && touch {folder}/running
  sleep 600
fi
exec {docker} "$@"
"""


def test_a_run_killed_while_its_container_runs_is_healed_by_the_next(
    street: Shop, factory: Factory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = factory.release(street)
    docker = tmp_path / "docker"
    docker.write_text(WAITING_DOCKER.format(folder=tmp_path, docker=factory.engine.command), encoding="utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(docker))
    words = [
        sys.executable,
        "-m",
        "gitops_ml",
        "deploy",
        "--environment=staging",
        f"--repository={street.clone}",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "actions")}
    with subprocess.Popen(words, env=environ, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "running").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert len(containers(factory)) == 1
    assert tagged(factory) is None
    assert next(row.state for row in rows(street.world())) == "deploying"
    assert deploy(street) == 0
    assert tagged(factory) == release.artifacts.digest
    assert containers(factory) == []
    assert [item.healthy for item in street.world().facts.history("staging")] == [False, True]
    assert cli.main(["status", "--repository", str(street.clone)]) == 0


def test_what_serves_already_is_proven_without_moving_anything(
    street: Shop, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = factory.release(street)
    assert deploy(street) == 0
    target = registry_target(street, factory)
    monkeypatch.setattr(Repository, "tag", lambda *words: pytest.fail("a tag was moved"))
    order = Order("staging", release, target.live().fence)
    assert target.apply(order) == ""
    assert target.prove(order) == {"version": True, "smoke": True}


def test_without_a_repository_of_images_there_is_no_tag(shop: Shop) -> None:
    pipeline = Pipeline(schema=1, environments=(Step(name="staging", follow=True),))
    facts = load_facts(shop.git, None)
    with pytest.raises(UserError, match="does not say in which") as caught:
        Registry(RegistryTarget(), "staging", pipeline, shop.clone, {}, facts).live()
    assert "image: ghcr.io/owner/model" in caught.value.fix
