"""The target `gitops-pull`: real git, a service that becomes what the branch says, and a clock of the tests' own."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from gitops_ml.delivery.checkout import read_policy
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets import gitops_pull
from gitops_ml.delivery.targets.base import FencedError, Order
from gitops_ml.delivery.targets.gitops_pull import GitopsPull
from gitops_ml.delivery.targets.manifest_branch import ManifestBranch, Wanted
from gitops_ml.delivery.targets.settings import GitopsPullTarget
from gitops_ml.errors import UserError

from tests.delivery.cluster_town import contents, release
from tests.delivery.follower import Follower
from tests.delivery.repositories import git, make_clone
from tests.template.conftest import environ, template
from tests.tools.required import find, need
from tools.template_files import render

__all__ = ["environ", "template"]

BRANCH = "deploy/staging"


@dataclass
class Place:
    """`now` is the clock in seconds; while the target waits, the agent in the cluster does its work."""

    origin: Path
    clone: Path
    pipeline: Pipeline
    follower: Follower
    images: dict[str, dict[str, str]]
    now: float = 0.0
    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def target(self, environment: str = "staging") -> GitopsPull:
        settings = GitopsPullTarget(
            kind="gitops-pull",
            overlay=f"deploy/kubernetes/{environment}",
            branch=BRANCH,
            url=self.follower.url,
            timeout=dt.timedelta(minutes=2),
        )
        tools = os.pathsep.join([str((find("kubectl") or need("kustomize")).parent), os.environ["PATH"]])
        environ = {**os.environ, "PATH": tools}
        return GitopsPull(
            settings,
            environment,
            self.pipeline,
            self.clone,
            environ,
            Facts(),
            lambda: self.now,
            self.pause,
        )

    def pause(self, seconds: float) -> None:
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()
        self.follower.sync()

    def order(self, number: int, fence: int, fault: str = "", environment: str = "staging") -> Order:
        manifest = release(number, str(self.pipeline.image))
        self.images[manifest.artifacts.image] = contents(manifest, fault)
        return Order(environment, manifest, fence)

    def commits(self) -> list[str]:
        return git(self.origin, "log", "--format=%s", BRANCH).splitlines()

    def tree(self, commit: str = BRANCH) -> str:
        return git(self.origin, "rev-parse", f"{commit}:staging")


@pytest.fixture(scope="module")
def origin(template: Path, environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pulled")
    project, _ = render(template, folder, {"deploy_target": "gitops-pull"}, lock=False, environ=environ)
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--allow-empty", "-m", "Begin")
    git(folder, "clone", "--quiet", "--bare", str(project), str(folder / "origin.git"))
    return folder / "origin.git"


@pytest.fixture
def place(origin: Path, tmp_path: Path) -> Iterator[Place]:
    own = tmp_path / "origin.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(origin), str(own))
    clone = make_clone(own, "clone")
    files = {f"environments/{path.name}": path.read_bytes() for path in (clone / "environments").iterdir()}
    images: dict[str, dict[str, str]] = {}
    with Follower(own, BRANCH, "staging", images) as follower:
        yield Place(own, clone, read_policy(files)[0], follower, images)


def test_a_release_is_written_waited_for_and_proven(place: Place) -> None:
    target, order = place.target(), place.order(1, fence=7)
    assert target.live() == Live()
    place.follower.slow = 2
    assert target.apply(order) == ""
    assert target.live() == Live(order.release.release, order.release.artifacts.digest, True, 7)
    assert dict(target.prove(order)) == {"version": True, "smoke": True}
    assert place.commits() == [f"staging: none -> {short(order.release.release)}"]
    message = git(place.origin, "log", "-1", "--format=%(trailers:only)", BRANCH).splitlines()
    assert message == [
        "Environment: staging",
        f"Release: {order.release.release}",
        f"Digest: {order.release.artifacts.digest}",
        "Fence: 7",
    ]


def test_the_branch_holds_one_object_in_each_file(place: Place) -> None:
    order = place.order(1, fence=7)
    place.target().apply(order)
    files = git(place.origin, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    assert files == [
        f"staging/{kind}-tumour-triage.yaml"
        for kind in (
            "deployment",
            "horizontalpodautoscaler",
            "networkpolicy",
            "poddisruptionbudget",
            "service",
        )
    ]
    written = yaml.safe_load(git(place.origin, "show", f"{BRANCH}:{files[0]}"))
    assert written["kind"] == "Deployment"
    # No fence in the files: a run that changes nothing must not look like a change.
    assert "annotations" not in written["metadata"]
    assert git(place.clone, "status", "--porcelain") == ""


def test_the_same_again_makes_no_commit_and_a_newer_wish_is_remembered(place: Place) -> None:
    target = place.target()
    target.apply(place.order(1, fence=7))
    before = git(place.origin, "rev-parse", BRANCH)
    assert target.apply(place.order(1, fence=7)) == ""
    assert git(place.origin, "rev-parse", BRANCH) == before
    assert target.apply(place.order(1, fence=8)) == ""
    assert place.tree() == place.tree(before)
    assert target.live().fence == 8


def test_a_late_run_is_refused_and_changes_nothing(place: Place) -> None:
    target = place.target()
    target.apply(place.order(2, fence=9))
    before = git(place.origin, "rev-parse", BRANCH)
    with pytest.raises(FencedError, match="9 commits of main, and this run knows 7"):
        target.apply(place.order(1, fence=7))
    assert git(place.origin, "rev-parse", BRANCH) == before


def test_what_does_not_become_healthy_is_taken_back(place: Place) -> None:
    target, good = place.target(), place.order(1, fence=7)
    target.apply(good)
    before = place.tree()
    reason = target.apply(place.order(2, fence=9, fault="dies"))
    assert "did not serve within 0:02:00: release is" in reason
    assert reason.endswith(f"; {BRANCH} says {short(good.release.release)} again")
    assert place.tree() == before
    assert target.live() == Live(good.release.release, good.release.artifacts.digest, True, 9)


def test_a_first_release_that_is_broken_says_that_nothing_was_before(place: Place) -> None:
    target = place.target()
    assert f"nothing was on {BRANCH} before it" in target.apply(place.order(1, fence=7, fault="dies"))
    assert not target.live().healthy
    assert target.live().fence == 7


def test_a_run_that_died_while_waiting_is_finished_by_the_next(place: Place) -> None:
    target, good = place.target(), place.order(1, fence=7)
    target.apply(good)
    bad = place.order(2, fence=9, fault="dies")

    def die() -> None:
        raise SystemExit(9)

    place.meanwhile.append(die)
    with pytest.raises(SystemExit):
        target.apply(bad)
    assert target.apply(bad).endswith(f"says {short(good.release.release)} again")


def test_a_newer_run_that_took_over_is_not_undone(place: Place) -> None:
    target = place.target()
    target.apply(place.order(1, fence=7))
    third = place.order(3, fence=11)
    branch = ManifestBranch(Git(place.clone), BRANCH, "staging")
    digest = third.release.artifacts.digest
    newer = Wanted("staging", third.release.release, digest, 11)
    place.meanwhile.append(lambda: branch.write(newer, {"deployment-x.yaml": b"{}"}))
    place.follower.slow = 10**6  # so that nothing of it is applied
    with pytest.raises(FencedError):
        target.apply(place.order(2, fence=9, fault="dies"))
    assert target.live().fence == 11


def test_environments_can_share_a_branch(place: Place) -> None:
    place.target().apply(place.order(1, fence=7))
    branch = ManifestBranch(Git(place.clone), BRANCH, "production")
    branch.write(Wanted("production", "r-" + "1" * 64, "sha256:" + "2" * 64, 5), {"a.yaml": b"{}\n"})
    assert place.target().live().fence == 7
    assert branch.wanted(branch.tip()).fence == 5
    folders = {
        path.split("/")[0] for path in git(place.origin, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    }
    assert folders == {"production", "staging"}


def test_eight_writers_lose_nothing_and_the_newest_wish_stays(place: Place, tmp_path: Path) -> None:
    clones = [make_clone(place.origin, f"writer-{number}") for number in range(8)]

    def write(number: int) -> str:
        name = f"place-{number % 4}"
        branch = ManifestBranch(Git(clones[number]), BRANCH, name)
        wanted = Wanted(name, f"r-{number:064x}", f"sha256:{number:064x}", 10 + number)
        try:
            branch.write(wanted, {"a.yaml": f"writer: {number}\n".encode()})
        except FencedError:
            return "late"
        return "written"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        said = list(pool.map(write, range(8)))
    assert said[4:] == ["written"] * 4
    reader = ManifestBranch(Git(place.clone), BRANCH, "place-0")
    tip = reader.tip()
    for number in range(4, 8):
        own = ManifestBranch(Git(place.clone), BRANCH, f"place-{number - 4}")
        assert own.wanted(tip).fence == 10 + number
        assert own.files(tip) == {"a.yaml": f"writer: {number}\n".encode()}


def test_a_branch_that_may_not_be_pushed_to_is_an_error(place: Place) -> None:
    hook = place.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'GH013: changes go through pull requests'\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(UserError, match="took no manifests") as error:
        place.target().apply(place.order(1, fence=7))
    assert "contents: write" in error.value.fix


def test_a_service_that_wavers_is_not_taken_for_healthy(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # While pods are replaced, old and new ones answer in turns.
    said = ["", "", "release is the old one", "", "", ""]
    monkeypatch.setattr(gitops_pull, "version_problem", lambda *_: said.pop(0))
    monkeypatch.setattr(gitops_pull, "ready_problem", lambda _: "")
    assert place.target().apply(place.order(1, fence=7)) == ""
    assert said == []
