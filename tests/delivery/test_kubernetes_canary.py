"""A canary in a cluster: what it has to show before the release gets all of the traffic, and that it always goes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from gitops_ml.delivery.manifests import FENCE
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import FencedError, Order
from gitops_ml.delivery.targets.kubernetes_canary import Trial, share
from gitops_ml.delivery.targets.metrics import Counts, read_counts, total
from gitops_ml.delivery.targets.settings import Canary

from tests.delivery.cluster_town import NAME, NAMESPACE, Town
from tests.delivery.test_kubernetes_target import environ, project, template
from tests.fakes.cluster import Cluster
from tests.tools.required import ROOT

__all__ = ["environ", "project", "template"]

POLICY = Canary(weight=30, duration=dt.timedelta(seconds=30), min_requests=20)


@pytest.fixture
def town(project: Path, tmp_path: Path) -> Iterator[Town]:
    """Two pods of release 1 serve."""
    with Cluster() as cluster:
        town = Town.make(cluster, project, tmp_path / "home")
        assert town.target().apply(town.order(1, fence=7)) == ""
        town.scale(2)
        with cluster.store.changed:
            cluster.controllers.changed(("deployments", NAMESPACE, NAME))
            assert cluster.store.changed.wait_for(
                lambda: town.deployment()["status"]["availableReplicas"] == 2, 60
            )
        yield town


def canary_of(town: Town) -> object:
    return town.cluster.store.objects.get(("deployments", NAMESPACE, f"{NAME}-canary"))


def refused(town: Town, order: Order, reason: str) -> None:
    """The release was abandoned, and nothing is left of it but the fence."""
    assert reason.startswith(f"{short(order.release.release)} was abandoned as a canary: ")
    assert canary_of(town) is None
    live = town.target().live()
    assert live.release == town.order(1, fence=7).release.release
    assert live.healthy
    assert live.fence == order.fence


def test_a_canary_that_does_well_gives_way_to_its_release(town: Town) -> None:
    seen: list[object] = []
    town.paused = lambda: (seen.append(canary_of(town)), town.traffic(30))[1]
    order = town.order(2, fence=9)
    assert town.target(canary=POLICY).apply(order) == ""
    assert canary_of(town) is None
    assert town.target().live().release == order.release.release
    assert sum(town.waits) == POLICY.duration.total_seconds()
    assert all(isinstance(one, dict) and one["spec"]["replicas"] == 1 for one in seen)


def test_a_canary_that_fails_is_abandoned_before_the_end(town: Town) -> None:
    town.paused = lambda: town.traffic(90)
    order = town.order(2, fence=9, fault="fails")
    reason = town.target(canary=POLICY).apply(order)
    assert "were server errors (100.0%)" in reason
    assert len(town.waits) == 1
    refused(town, order, reason)


def test_a_canary_that_is_slow_is_abandoned(town: Town) -> None:
    town.paused = lambda: town.traffic(30)
    order = town.order(2, fence=9, fault="slow 0.4")
    reason = town.target(canary=POLICY).apply(order)
    assert "times the" in reason
    refused(town, order, reason)


def test_a_canary_that_nobody_asked_shows_nothing(town: Town) -> None:
    order = town.order(2, fence=9)
    reason = town.target(canary=POLICY).apply(order)
    assert reason.endswith("it answered 0 requests, and 20 are asked for")
    refused(town, order, reason)


def test_a_canary_that_does_not_start_says_why(town: Town) -> None:
    order = town.order(2, fence=9, fault="dies")
    reason = town.target(canary=POLICY).apply(order)
    assert "the model file does not fit its hash" in reason
    refused(town, order, reason)


def test_a_canary_that_a_dead_run_left_is_removed_by_the_next(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = town.target(canary=POLICY)
    with monkeypatch.context() as patched:
        patched.setattr(Trial, "_watch", die)
        # As kill -9 would: nothing tidies up.
        patched.setattr(Trial, "sweep", lambda *_: None)
        with pytest.raises(SystemExit):
            target.apply(town.order(2, fence=9))
    assert canary_of(town) is not None
    assert target.live().fence == 9
    # Main went back meanwhile.
    assert target.apply(town.order(1, fence=10)) == ""
    assert canary_of(town) is None


def test_the_canary_of_a_newer_run_stays(town: Town) -> None:
    order = town.order(2, fence=9)
    town.paused = lambda: town.cluster.store.patch(
        ("deployments", NAMESPACE, f"{NAME}-canary"), "", {"metadata": {"annotations": {FENCE: "11"}}}
    )
    with pytest.raises(FencedError):
        town.target(canary=POLICY).apply(order)
    assert canary_of(town) is not None


def test_there_is_no_canary_where_nothing_serves_yet(project: Path, tmp_path: Path) -> None:
    with Cluster() as cluster:
        town = Town.make(cluster, project, tmp_path / "home")
        assert town.target(canary=POLICY).apply(town.order(1, fence=7)) == ""
        assert town.waits == []


def die(*_: object) -> str:
    raise SystemExit(9)


@pytest.mark.parametrize(
    ("weight", "replicas", "pods"), [(1, 1, 1), (10, 9, 1), (10, 18, 2), (50, 3, 3), (20, 2, 1)]
)
def test_the_share_is_that_of_the_pods(weight: int, replicas: int, pods: int) -> None:
    assert share(weight, replicas) == pods


METRICS = """# TYPE serving_requests_total counter
serving_requests_total{method="POST",route="/predict",status="200"} 90.0
serving_requests_total{method="POST",route="/predict",status="422"} 5.0
serving_requests_total{method="POST",route="/v2/models/{name}/infer",status="500"} 5.0
serving_requests_total{method="GET",route="/v2/health/ready",status="503"} 1000.0
serving_request_seconds_bucket{le="0.1",route="/predict"} 99.0
serving_request_seconds_bucket{le="+Inf",route="/predict"} 95.0
serving_request_seconds_bucket{le="+Inf",route="/v2/models/{name}/infer"} 5.0
"""


def test_only_answers_of_predicting_routes_are_counted() -> None:
    counts = read_counts(METRICS)
    assert (counts.answers, counts.errors, counts.latency.total) == (100, 5, 100.0)


def test_a_pod_that_started_anew_has_counted_from_nothing() -> None:
    before = {"a": Counts(500, 9), "b": Counts(10, 0)}
    now = {"a": Counts(4, 1), "b": Counts(30, 2), "c": Counts(7, 0)}
    sample = total(now, before)
    assert (sample.answers, sample.errors) == (4 + 20 + 7, 1 + 2)


PATH = re.compile(
    r"/(?:api/v1|apis/([^/]+)/[^/]+)/namespaces/[^/]+/(\w+)(?:/([^/?]+))?(/proxy)?",
)


def used(seen: list[tuple[str, str]]) -> set[tuple[str, str, str]]:
    """The rights that the requests `seen` needed: group, resource and verb, as a Role has them."""
    found = set()
    for method, target in seen:
        match = PATH.match(target)
        if match is None:
            continue
        group, plural, name, proxy = match.groups()
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(method, "get" if name else "list")
        found.add((group or "", plural + (proxy or ""), "watch" if "watch=" in target else verb))
        if method == "PATCH" and "fieldManager" in target and "force=" in target:
            found.add((group or "", plural, "create"))  # server-side apply of what is not there yet
    return found


def test_the_documented_role_is_all_that_a_deployment_needs(town: Town) -> None:
    town.paused = lambda: town.traffic(30)
    assert town.target(canary=POLICY).apply(town.order(2, fence=9)) == ""
    assert "serves again" in town.target().apply(town.order(3, fence=10, fault="dies"))
    assert dict(town.target().prove(town.order(2, fence=9)))["smoke"]
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    (role,) = [
        yaml.safe_load(text)
        for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
        if "kind: Role\n" in text
    ]
    documented = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needed = used(town.cluster.seen)
    assert needed - documented == set()
    # What the overlay of another project has, a ConfigMap for instance, is in the list as well.
    assert {one for one in documented - needed if one[1] != "configmaps"} == set()
