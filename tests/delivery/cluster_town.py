"""A generated project on a real main, its releases, and a played cluster that runs them, for the tests of targets."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_ml.delivery.checkout import read_policy
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.manifests import FENCE, RELEASE
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.targets.base import Order
from gitops_ml.delivery.targets.kubernetes import Kubernetes
from gitops_ml.delivery.targets.rollout import ready
from gitops_ml.delivery.targets.settings import Canary, KubernetesTarget
from gitops_ml.delivery.typed import Run

from tests.delivery.repositories import git
from tests.delivery.truth import START
from tests.fakes.cluster import Cluster
from tests.tools.required import need

NAMESPACE = "tumour-triage-staging"
NAME = "tumour-triage"


def release(number: int, image: str, commit: str = "c" * 40) -> Manifest:
    artifacts = Artifacts(
        commit=commit,
        build_key=f"{number:064x}",
        image=f"{image}@sha256:{number:064x}",
        model=f"{number + 16:064x}",
        data=f"{1:064x}",
        run=f"run-{number}",
        contract=f"{2:064x}",
    )
    return Manifest(
        schema=1, release=release_id(artifacts), artifacts=artifacts, sequence=number, run=Run(), at=START
    )


def contents(manifest: Manifest, fault: str = "") -> dict[str, str]:
    """What the image of `manifest` says of itself, as the tiny service reads it."""
    return {
        "RELEASE_COMMIT": manifest.artifacts.commit,
        "MODEL_HASH": manifest.artifacts.model,
        "DATA_HASH": manifest.artifacts.data,
        "FAULT": fault,
    }


@dataclass
class Town:
    """`paused` is what happens while the target waits; each wait is noted."""

    cluster: Cluster
    project: Path
    environ: dict[str, str]
    pipeline: Pipeline
    waits: list[float] = field(default_factory=list)
    paused: Callable[[], None] = lambda: None

    @classmethod
    def make(cls, cluster: Cluster, project: Path, home: Path) -> Town:
        files = {
            f"environments/{path.name}": path.read_bytes() for path in (project / "environments").iterdir()
        }
        home.mkdir()
        path = os.pathsep.join([str(need("kubectl").parent), os.environ["PATH"]])
        config = cluster.kubeconfig(home / "config")
        environ = {**os.environ, "PATH": path, "HOME": str(home), "KUBECONFIG": str(config)}
        cluster.namespace(NAMESPACE)
        return cls(cluster, project, environ, read_policy(files)[0])

    def target(
        self, seconds: float = 30, canary: Canary | None = None, context: str | None = None
    ) -> Kubernetes:
        settings = KubernetesTarget(
            kind="kubernetes",
            overlay="deploy/kubernetes/staging",
            timeout=dt.timedelta(seconds=seconds),
            canary=canary,
            context=context,
        )
        return Kubernetes(
            settings, "staging", self.pipeline, self.project, self.environ, Facts(), self._pause
        )

    def pulled(self, manifest: Manifest, fault: str = "") -> None:
        """The registry has the image of `manifest`, which does what `fault` says."""
        self.cluster.controllers.images[manifest.artifacts.image] = contents(manifest, fault)

    def order(self, number: int, fence: int, fault: str = "", pulled: bool = True) -> Order:
        """Release `number`, in an image that does what `fault` says."""
        manifest = release(number, str(self.pipeline.image))
        if pulled:
            self.pulled(manifest, fault)
        return Order("staging", manifest, fence)

    def deployment(self, name: str = NAME) -> dict[str, Any]:
        return self.cluster.store.get(("deployments", NAMESPACE, name))

    def scale(self, replicas: int) -> None:
        """What an autoscaler does."""
        self.cluster.store.patch(("deployments", NAMESPACE, NAME), "", {"spec": {"replicas": replicas}})

    def bump(self, fence: int) -> None:
        """What a newer run does first."""
        change = {"metadata": {"annotations": {FENCE: str(fence)}}}
        self.cluster.store.patch(("deployments", NAMESPACE, NAME), "", change)

    def releases(self) -> set[str]:
        """What the pods that answer say they are."""
        with self.cluster.store.changed:
            pods = self.cluster.store.find("pods", NAMESPACE, {}, {})
        return {one["metadata"]["annotations"][RELEASE] for one in pods if ready(one)}

    def traffic(self, requests: int) -> None:
        """What clients ask of the Service."""
        path = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}:http/proxy/predict"
        for _ in range(requests):
            self.cluster.answer("POST", path, "application/json", b'{"records": [{"x": 1}]}')

    def _pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.paused()


def commit_all(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
