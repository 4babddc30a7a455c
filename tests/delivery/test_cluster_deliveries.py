"""The deploy verb with a cluster for staging and a pulled branch for production, from a merge to a rollback."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery.pipeline import read_pipeline
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.targets import gitops_pull
from gitops_ml.delivery.targets.said import said_version
from gitops_ml.delivery.web import WebService
from gitops_ml.reading import read_document

from tests.delivery.cluster_town import NAMESPACE, Town, contents
from tests.delivery.follower import Follower
from tests.delivery.repositories import commit, git, push
from tests.delivery.shop import Shop
from tests.delivery.test_kubernetes_target import environ, project, template
from tests.delivery.truth import WORKFLOW
from tests.fakes.cluster import Cluster
from tests.tools.required import ROOT

__all__ = ["environ", "project", "template"]

# Evidence counts when a workflow on main wrote it.
RUN = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "octo/model",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_SERVER_URL": "https://forge.invalid",
    "GITHUB_WORKFLOW_REF": f"octo/model/{WORKFLOW}",
}
PIPELINE = """schema: 1
image: ghcr.io/octo/churn
environments:
  - name: staging
    follow: true
    target: {{kind: kubernetes, overlay: deploy/kubernetes/staging, timeout: 2m}}
  - name: production
    evidence: [version, smoke]
    target:
      {{kind: gitops-pull, overlay: deploy/kubernetes/production, branch: deploy/production, url: "{url}", timeout: 2m}}
"""


@dataclass
class Sites:
    """`staging` is the cluster, `production` what the branch says."""

    shop: Shop
    staging: Town
    production: Follower
    images: dict[str, dict[str, str]]

    def build(self, fault: str = "") -> Manifest:
        """Merge a change, and push the image that is built of it."""
        manifest = self.shop.release()
        self.staging.pulled(manifest, fault)
        self.images[manifest.artifacts.image] = contents(manifest, fault)
        return manifest

    def deploy(self, environment: str) -> int:
        return cli.main(["deploy", "--environment", environment, "--repository", str(self.shop.clone)])


@pytest.fixture
def sites(shop: Shop, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sites]:
    images: dict[str, dict[str, str]] = {}
    ended = threading.Event()
    origin = shop.clone.parent / "origin.git"
    with Cluster() as cluster, Follower(origin, "deploy/production", "production", images) as follower:
        town = Town.make(cluster, project, tmp_path / "home")
        for name in ("PATH", "HOME", "KUBECONFIG"):
            monkeypatch.setenv(name, town.environ[name])
        for name, value in RUN.items():
            monkeypatch.setenv(name, value)
        for name in ("GITHUB_TOKEN", "GITHUB_API_URL", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(gitops_pull, "LOOK_S", 0.1)
        shutil.copytree(project / "deploy" / "kubernetes", shop.clone / "deploy" / "kubernetes")
        for path in (shop.clone / "deploy").rglob("kustomization.yaml"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("ghcr.io/your-organisation/tumour-triage", "ghcr.io/octo/churn"))
        commit(shop.clone, "Run in clusters", environments__pipeline_yaml=PIPELINE.format(url=follower.url))
        push(shop.clone)

        def follow() -> None:
            while not ended.wait(0.1):
                follower.sync()

        agent = threading.Thread(target=follow, daemon=True)
        agent.start()
        yield Sites(shop, town, follower, images)
        ended.set()
        agent.join()


def test_a_release_goes_through_a_cluster_and_a_pulled_branch_and_back(
    sites: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = sites.shop
    first = sites.build()
    assert sites.deploy("staging") == 0
    assert sites.staging.releases() == {first.release}
    shop.squash(shop.branch(first))
    assert sites.deploy("production") == 0
    service = WebService(sites.production.url)
    assert said_version(service) == (first.release, first.artifacts.digest)
    # Nothing is left to do, and a run that finds that moves nothing.
    before = git(shop.clone, "ls-remote", "origin", "deploy/production")
    assert (sites.deploy("staging"), sites.deploy("production")) == (0, 0)
    assert git(shop.clone, "ls-remote", "origin", "deploy/production") == before

    bad = sites.build(fault="dies")
    capsys.readouterr()
    assert sites.deploy("staging") == 1
    assert sites.staging.releases() == {first.release}
    outcome = shop.world().facts.history("staging")[-1].outcome
    assert outcome is not None
    assert outcome.release == bad.release
    assert "the model file does not fit its hash" in outcome.reason
    assert f"{short(first.release)} serves again" in outcome.reason

    second = sites.build()
    assert sites.deploy("staging") == 0
    shop.squash(shop.branch(second))
    assert sites.deploy("production") == 0
    assert said_version(service)[0] == second.release
    git(shop.clone, "revert", "--no-edit", "HEAD")
    push(shop.clone)
    assert sites.deploy("production") == 0
    assert said_version(service) == (first.release, first.artifacts.digest)
    assert sites.production.served == [first.release, second.release, first.release]
    assert ("deployments", NAMESPACE, "tumour-triage") in sites.staging.cluster.store.objects


def test_the_documented_targets_are_read() -> None:
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    steps = [
        text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if text.startswith("  - name:")
    ]
    kinds = set()
    for step in steps:
        content = f"schema: 1\nimage: ghcr.io/octo/churn\nenvironments:\n{step}"
        kinds.add(read_pipeline(read_document(content.encode(), "pipeline.yaml")).environments[0].target.kind)
    assert {"kubernetes", "gitops-pull"} <= kinds
