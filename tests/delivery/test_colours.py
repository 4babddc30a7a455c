"""Every step of a deployment to a Docker host can be the last one of a run: nothing is lost, and the next run heals."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gitops_ml.delivery import proof
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.targets import compose
from gitops_ml.delivery.targets.base import FencedError, Order
from gitops_ml.delivery.targets.compose import Compose
from gitops_ml.delivery.targets.docker_host import find_docker
from gitops_ml.delivery.targets.proxy import read_servers
from gitops_ml.delivery.targets.settings import Canary, ComposeTarget
from gitops_ml.errors import UserError

from tests.delivery.repositories import made
from tests.delivery.toy_host import MAINTENANCE, Killed, ToyHost

OLD, NEW, LATER = (made("a" * 40, "b" * 64, number, number) for number in (1, 2, 3))
ALL = (OLD, NEW, LATER)
PIPELINE = Pipeline.model_validate({"schema": 1, "environments": ({"name": "staging", "follow": True},)})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "SETTLE_S", 0.0)
    monkeypatch.setattr(proof, "PAUSE_S", 0.0)


def toy(**sick: str) -> ToyHost:
    """A host that knows the three releases; `sick` names faults of `new`."""
    identities = {
        manifest.artifacts.digest: {
            "image_digest": manifest.artifacts.digest,
            "commit": manifest.artifacts.commit,
            "model_hash": manifest.artifacts.model,
            "data_hash": manifest.artifacts.data,
        }
        for manifest in ALL
    }
    return ToyHost(identities, dict.fromkeys([NEW.artifacts.digest], sick.get("fault", "")))


def target(host: ToyHost, canary: Canary | None = None) -> Compose:
    settings = ComposeTarget(kind="compose", timeout=dt.timedelta(0), canary=canary)
    found = Compose(settings, "staging", PIPELINE, Path(), {}, Facts())
    found._host = host  # type: ignore[assignment]
    return found


def order(manifest: Manifest, fence: int) -> Order:
    return Order("staging", manifest, fence)


def begun(**sick: str) -> ToyHost:
    """A host on which OLD serves, and of which clients get answers after every change from now on."""
    host = toy(**sick)
    assert target(host).apply(order(OLD, 1)) == ""

    def watch() -> None:
        serving = [container.release for container in host.serving()]
        assert serving, f"nobody answers after {host.changes}"
        if sick:
            assert NEW.release not in serving, f"a bad release gets traffic after {host.changes}"

    host.watch = watch
    host.changes.clear()
    return host


def steps(manifest: Manifest = NEW, **sick: str) -> int:
    """How many changes a deployment makes."""
    host = begun(**sick)
    target(host).apply(order(manifest, 2))
    return len(host.changes)


def killed(host: ToyHost, wanted: Order, after: int) -> None:
    host.dies_after = len(host.changes) + after
    with contextlib.suppress(Killed):
        target(host).apply(wanted)
    host.dies_after = None


def assert_serves(host: ToyHost, manifest: Manifest, fence: int) -> None:
    live = target(host).live()
    assert (live.release, live.digest) == (manifest.release, manifest.artifacts.digest)
    assert (live.healthy, live.fence) == (True, fence)
    running = [name for name, container in host.found.items() if container.running]
    assert len(running) == 2, "one colour and the proxy"
    (serving,) = host.serving()
    assert host.slots[serving.service].weight == 100


def test_a_deployment_makes_the_changes_that_the_others_here_interrupt() -> None:
    assert steps() > 10


@pytest.mark.parametrize("wanted", [NEW, OLD, LATER], ids=["the same again", "back", "something newer"])
@pytest.mark.parametrize("restarted", [False, True], ids=["", "proxy restarted"])
def test_killed_after_any_step_the_next_run_heals(wanted: Manifest, restarted: bool) -> None:
    for after in range(1, steps() + 1):
        host = begun()
        killed(host, order(NEW, 2), after)
        if restarted:
            host.restart_proxy()
        assert target(host).apply(order(wanted, 2)) == "", f"killed after {host.changes}"
        assert_serves(host, wanted, 2)


def test_killed_twice_the_third_run_heals() -> None:
    count = steps()
    for first, second in itertools.product(range(1, count + 1), range(1, count + 1)):
        host = begun()
        killed(host, order(NEW, 2), first)
        killed(host, order(LATER, 3), second)
        assert target(host).apply(order(NEW, 4)) == ""
        assert_serves(host, NEW, 4)


@pytest.mark.parametrize("fault", ["never ready", "other commit", "dies"])
def test_a_bad_release_is_given_up_whenever_the_run_dies(fault: str) -> None:
    for after in range(1, steps(fault=fault) + 2):
        host = begun(fault=fault)
        killed(host, order(NEW, 2), after)
        assert target(host).apply(order(NEW, 2)) != ""
        assert_serves(host, OLD, 2)
        assert host.found["green"].labels["gitops-ml.release"] == NEW.release, "kept, with its log"
        assert host.slots["green"].admin == MAINTENANCE
        with pytest.raises(FencedError):
            target(host).apply(order(LATER, 1))
        assert target(host).apply(order(LATER, 2)) == ""
        assert_serves(host, LATER, 2)


def test_the_colour_that_left_is_kept_from_traffic_until_it_is_proven_anew() -> None:
    host = begun()
    assert target(host).apply(order(NEW, 2)) == ""
    assert host.slots["blue"].admin == MAINTENANCE, "a later container may have its address"


def test_a_canary_that_shows_nothing_is_abandoned_whenever_the_run_dies() -> None:
    policy = Canary(weight=10, duration=dt.timedelta(0))
    for after in range(1, 30):
        host = begun()
        host.dies_after = after
        with contextlib.suppress(Killed):
            target(host, policy).apply(order(NEW, 2))
        host.dies_after = None
        assert "answered 0 requests" in target(host, policy).apply(order(NEW, 2))
        assert_serves(host, OLD, 2)
        assert host.slots["green"].admin == MAINTENANCE


def test_what_serves_is_not_moved() -> None:
    host = begun()
    assert target(host).apply(order(OLD, 7)) == ""
    assert host.changes == ["remember", "blue weight 100"]
    assert_serves(host, OLD, 7)


def test_an_old_release_that_ends_again_and_again_is_taken_away() -> None:
    host = begun()
    host.watch = lambda: None
    host.found["blue"] = replace(host.found["blue"], running=False, restarts=3)
    assert target(host).apply(order(NEW, 2)) == ""
    assert_serves(host, NEW, 2)
    assert "blue" not in host.found, "or it would come back with traffic"


def late_orders() -> Iterator[ToyHost]:
    """A host on which something newer was asked for: it came, it failed, it is what serves already."""
    for manifest, sick in ((NEW, {}), (NEW, {"fault": "dies"}), (OLD, {})):
        host = begun(**sick)
        target(host).apply(order(manifest, 5))
        yield host


def test_a_late_run_is_refused_and_changes_nothing() -> None:
    for host in late_orders():
        host.changes.clear()
        with pytest.raises(FencedError, match="5 commits of main, and this run knows 4"):
            target(host).apply(order(LATER, 4))
        assert host.changes == []


def test_a_run_that_is_overtaken_stops_before_it_moves_traffic() -> None:
    host = begun()
    keep = host.watch

    def overtake() -> None:
        keep()
        if host.changes[-1] == "start green":
            host.remembered = 9

    host.watch = overtake
    with pytest.raises(FencedError):
        target(host).apply(order(NEW, 2))
    assert [container.release for container in host.serving()] == [OLD.release]


def test_two_colours_with_traffic_are_not_well() -> None:
    host = begun()
    after = next(n for n in range(1, steps() + 1) if len(list(_both(n).serving())) == 2)
    live = target(_both(after)).live()
    assert (live.release, live.healthy) == (OLD.release, False)
    assert target(host).live().healthy


def _both(after: int) -> ToyHost:
    host = begun()
    killed(host, order(NEW, 2), after)
    return host


@pytest.mark.parametrize("host", ["ssh://deploy@machine", "tcp://10.0.0.7:2376", "unix:///run/docker.sock"])
def test_the_host_of_the_settings_comes_before_that_of_the_environment(host: str) -> None:
    settings = ComposeTarget(kind="compose", host=host)
    found = Compose(settings, "staging", PIPELINE, Path("/churn"), {"DOCKER_HOST": "unix:///other"}, Facts())
    assert found._environ["DOCKER_HOST"] == host
    assert found._project == "churn-staging"


@pytest.mark.parametrize("host", ["ssh://-oProxyCommand=touch", "machine", "https://machine", "ssh://a b"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        ComposeTarget(kind="compose", host=host)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("2.23.1", True),
        ("v2.40.3", True),
        ("dev", True),
        ("5.0.0", True),
        ("2.23.0", False),
        ("1.29.2", False),
    ],
)
def test_a_docker_whose_compose_can_not_copy_configuration_is_passed_over(
    said: str, taken: bool, tmp_path: Path
) -> None:
    command = tmp_path / "docker"
    command.write_text(f"#!/bin/sh\necho {said}\n", encoding="utf-8")
    command.chmod(0o755)
    if taken:
        assert find_docker({"PATH": str(tmp_path)}) == str(command)
        return
    with pytest.raises(UserError, match=rf"Compose 2\.23\.1 or newer was found \(.*{said}"):
        find_docker({"PATH": str(tmp_path)})


def test_what_the_proxy_says_is_read_or_refused() -> None:
    (blue, green) = read_servers(begun()._tables())
    assert (blue.open, blue.up, green.open, green.up) == (True, True, True, False)
    with pytest.raises(UserError, match="not understood"):
        list(read_servers("Can't find backend.\n"))
