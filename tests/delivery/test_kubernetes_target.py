"""The target `kubernetes`: the real kubectl against a played API server whose pods are services that listen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.manifests import FENCE, RELEASE, canary_of, fenced, name_release
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import FencedError, Request
from gitops_ml.delivery.targets.kubernetes import Kubernetes
from gitops_ml.delivery.web import WebService
from gitops_ml.errors import UserError

from tests.delivery.cluster_town import NAME, NAMESPACE, Town, commit_all
from tests.delivery.repositories import git
from tests.fakes.cluster import Cluster
from tests.image.policy import violations
from tests.image.test_kubernetes import validate
from tests.template.conftest import environ, template
from tests.tools.required import need
from tools.template_files import render

__all__ = ["environ", "template"]


@pytest.fixture(scope="module")
def project(template: Path, environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("kubectl")
    answers = {"deploy_target": "kubernetes"}
    folder, _ = render(template, tmp_path_factory.mktemp("town"), answers, lock=False, environ=environ)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "Begin")
    return folder


@pytest.fixture
def town(project: Path, tmp_path: Path) -> Iterator[Town]:
    with Cluster() as cluster:
        yield Town.make(cluster, project, tmp_path / "home")


def test_a_release_is_applied_and_proven(town: Town) -> None:
    target, order = town.target(), town.order(1, fence=7)
    assert target.live().release is None
    assert target.apply(order) == ""
    live = target.live()
    assert (live.release, live.digest) == (order.release.release, order.release.artifacts.digest)
    assert live.healthy
    assert live.fence == 7
    assert dict(target.prove(order)) == {"version": True, "smoke": True}


def test_the_container_is_named_by_its_digest_and_told_its_release(town: Town) -> None:
    order = town.order(1, fence=7)
    town.target().apply(order)
    (container,) = town.deployment()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == order.release.artifacts.image
    told = {one["name"]: one["value"] for one in container["env"]}
    assert order.variables.items() <= told.items()
    assert "envFrom" not in container
    fences = {
        key[0]: one["metadata"]["annotations"][FENCE]
        for key, one in town.cluster.store.objects.items()
        if key[0] not in ("namespaces", "pods", "replicasets")
    }
    assert set(fences.values()) == {"7"}
    assert "configmaps" not in fences  # it only stood in for what the container is told
    assert git(town.project, "status", "--porcelain") == ""


def test_what_is_applied_is_valid_and_within_the_policy(town: Town, tmp_path: Path) -> None:
    manifests = name_release(town.target()._manifests(), town.order(1, fence=7))
    canary = canary_of(manifests, 1)
    assert violations(manifests.objects) == []
    # How many there are of a canary is its weight's to say.
    assert violations([*manifests.objects, *canary]) == ["no HorizontalPodAutoscaler scales the deployment"]
    objects = fenced([*manifests.objects, *canary], 7)
    done = validate(objects, tmp_path / "all.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_next_release_replaces_the_one_before(town: Town) -> None:
    target = town.target()
    target.apply(town.order(1, fence=7))
    second = town.order(2, fence=9)
    assert target.apply(second) == ""
    assert target.live() == Live(second.release.release, second.release.artifacts.digest, True, 9)
    assert town.releases() == {second.release.release}


def test_applying_what_serves_moves_nothing(town: Town) -> None:
    target, order = town.target(), town.order(1, fence=7)
    target.apply(order)
    before, pods = town.deployment()["metadata"]["resourceVersion"], set(town.cluster.controllers.running)
    assert target.apply(order) == ""
    assert town.deployment()["metadata"]["resourceVersion"] == before
    assert target.apply(town.order(1, fence=8)) == ""
    assert set(town.cluster.controllers.running) == pods
    assert target.live().fence == 8


def test_a_late_run_is_refused_and_changes_nothing(town: Town) -> None:
    target = town.target()
    target.apply(town.order(2, fence=9))
    before = dict(town.cluster.store.objects)
    with pytest.raises(FencedError, match="9 commits of main, and this run knows 7"):
        target.apply(town.order(1, fence=7))
    assert town.cluster.store.objects == before


def test_a_run_that_is_overtaken_between_reading_and_writing_stops(town: Town) -> None:
    target = town.target()
    target.apply(town.order(1, fence=7))
    town.cluster.meanwhile("PATCH", "deployments", lambda: town.bump(11))
    with pytest.raises(FencedError):
        target.apply(town.order(2, fence=9))
    assert town.deployment()["metadata"]["annotations"][FENCE] == "11"
    assert town.order(1, fence=7).release.release in town.releases()


def test_a_change_that_is_no_newer_run_is_waited_out(town: Town) -> None:
    target = town.target()
    target.apply(town.order(1, fence=7))
    town.cluster.meanwhile("PATCH", "deployments", lambda: town.scale(3))
    assert target.apply(town.order(2, fence=9)) == ""
    assert len(town.waits) == 1
    assert town.deployment()["spec"]["replicas"] == 3  # the autoscaler's word stays


@pytest.mark.parametrize(
    ("fault", "pulled", "words"),
    [
        ("dies", True, "Error with exit code 1: the model file does not fit its hash"),
        ("never ready", True, "Readiness probe failed"),
        ("", False, "ImagePullBackOff"),
    ],
)
def test_what_gets_nowhere_is_taken_back_with_its_last_words(
    town: Town, fault: str, pulled: bool, words: str
) -> None:
    target, good = town.target(), town.order(1, fence=7)
    target.apply(good)
    bad = town.order(2, fence=9, fault=fault, pulled=pulled)
    reason = target.apply(bad)
    assert words in reason
    assert "exceeded its progress deadline" in reason
    assert reason.endswith(f"{short(good.release.release)} serves again")
    assert target.live() == Live(good.release.release, good.release.artifacts.digest, True, 9)
    assert town.releases() == {good.release.release}


def test_a_first_release_that_is_broken_leaves_nothing_healthy(town: Town) -> None:
    target = town.target()
    assert "nothing served before it" in target.apply(town.order(1, fence=7, fault="dies"))
    live = target.live()
    assert not live.healthy
    assert live.fence == 7


def test_a_rollout_that_says_nothing_ends_with_the_timeout(town: Town) -> None:
    target, good = town.target(), town.order(1, fence=7)
    target.apply(good)
    town.cluster.controllers.delay_s = 600
    reason = town.target(seconds=1).apply(town.order(2, fence=9))
    assert "timed out waiting for the condition" in reason


def test_a_run_that_died_in_a_rollout_is_finished_by_the_next(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, good = town.target(), town.order(1, fence=7)
    target.apply(good)
    bad = town.order(2, fence=9, fault="dies")
    with monkeypatch.context() as patched:
        patched.setattr(Kubernetes, "_await", die)
        with pytest.raises(SystemExit):
            target.apply(bad)
    # Nobody remembers what served before but the cluster.
    assert target.apply(bad).endswith(f"{short(good.release.release)} serves again")
    assert target.live().release == good.release.release


def die(*_: object) -> str:
    raise SystemExit(9)


@pytest.mark.parametrize("moment", ["fieldSelector=metadata.name", "/replicasets"])
def test_a_newer_run_that_took_over_is_left_alone(town: Town, moment: str) -> None:
    target = town.target()
    target.apply(town.order(1, fence=7))
    bad = town.order(2, fence=9, fault="dies")
    town.cluster.meanwhile("GET", moment, lambda: town.bump(11))
    with pytest.raises(FencedError):
        target.apply(bad)
    annotations = town.deployment()["spec"]["template"]["metadata"]["annotations"]
    assert annotations[RELEASE] == bad.release.release  # it is the newer run's to decide


def test_what_was_changed_by_hand_is_seen_and_put_right(town: Town) -> None:
    target, order = town.target(), town.order(1, fence=7)
    target.apply(order)
    wrong = {"spec": {"selector": {"app.kubernetes.io/name": "something-else"}}}
    town.cluster.store.patch(("services", NAMESPACE, NAME), "", wrong)
    assert not target.live().healthy
    assert dict(target.prove(order)) == {"version": False, "smoke": False}
    assert target.apply(order) == ""
    assert target.live().healthy


def test_the_overlay_is_mains_and_not_the_work_trees(town: Town) -> None:
    path = town.project / "deploy" / "kubernetes" / "base" / "service.yaml"
    kept = path.read_bytes()
    path.write_text("not: [yaml", encoding="utf-8")
    try:
        assert town.target().apply(town.order(1, fence=7)) == ""
    finally:
        path.write_bytes(kept)


def test_a_missing_right_names_the_page_that_lists_them(town: Town) -> None:
    town.cluster.forbidden.add(("patch", "deployments"))
    with pytest.raises(UserError, match=r"kubectl apply failed: .*forbidden") as error:
        town.target().apply(town.order(1, fence=7))
    assert "docs/delivery.md" in error.value.fix


def test_a_missing_namespace_names_the_command_that_makes_it(town: Town) -> None:
    town.cluster.store.remove(("namespaces", "", NAMESPACE))
    with pytest.raises(UserError) as error:
        town.target().apply(town.order(1, fence=7))
    assert error.value.fix == f"Create it once: kubectl create namespace {NAMESPACE}"


def test_another_context_is_another_cluster(town: Town) -> None:
    with pytest.raises(UserError, match="elsewhere"):
        town.target(context="elsewhere").live()
    assert town.target(context="here").live() == Live()


def test_without_kubectl_it_says_so(town: Town, tmp_path: Path) -> None:
    git_only = tmp_path / "bin"
    git_only.mkdir()
    town.environ["PATH"] = str(git_only)
    with pytest.raises(UserError, match="Neither kubectl nor kustomize is on PATH"):
        town.target().live()


def test_a_pipeline_without_an_image_cannot_tell_the_model_from_others(town: Town) -> None:
    town.pipeline = town.pipeline.model_copy(update={"image": None})
    with pytest.raises(UserError, match="names no `image:`"):
        town.target().live()


def test_an_overlay_that_runs_another_image_is_refused(town: Town) -> None:
    town.pipeline = town.pipeline.model_copy(update={"image": "ghcr.io/somebody/else"})
    with pytest.raises(UserError, match=r"0 Deployments have a container of the image ghcr.io/somebody/else"):
        town.target().live()


def test_a_stranger_on_the_machine_reaches_nothing_but_the_service(town: Town) -> None:
    target = town.target()
    target.apply(town.order(1, fence=7))
    manifests = target._manifests()
    with target._service(target._kubectl(manifests), manifests) as service:
        assert service.ask(Request("/version")).status == 200
        host = service.url.partition("/api/")[0]
        for path in (
            "/api/v1/namespaces/default/secrets",
            f"/api/v1/namespaces/{NAMESPACE}/pods",
            "/version",
        ):
            assert WebService(host).ask(Request(path)).status == 403
        assert service.ask(Request("/../../../pods")).status != 200


def test_a_proxy_that_cannot_start_says_why(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    target = town.target()
    target.apply(town.order(1, fence=7))
    broken = Path(town.environ["HOME"]) / "bin" / "kubectl"
    broken.parent.mkdir()
    real = need("kubectl")
    broken.write_text(
        f'#!/bin/sh\ncase "$*" in *proxy*) echo "error: listen: too many" >&2; exit 1;; esac\nexec {real} "$@"\n'
    )
    broken.chmod(0o755)
    town.environ["PATH"] = f"{broken.parent}:{town.environ['PATH']}"
    with pytest.raises(UserError, match="kubectl proxy did not start: error: listen: too many"):
        target.live()
