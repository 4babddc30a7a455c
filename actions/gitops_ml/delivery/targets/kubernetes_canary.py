"""A canary in a cluster: a second Deployment behind the same Service, watched for a while, then gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitops_ml.delivery.manifests import Manifests, Object, canary_name, canary_of, fence_of
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import Order, Request, refuse_late
from gitops_ml.delivery.targets.canary import hopeless, judge
from gitops_ml.delivery.targets.kubectl import Kubectl
from gitops_ml.delivery.targets.metrics import Counts, read_counts, total
from gitops_ml.delivery.targets.rollout import identity, last_words, ready, rollout_of
from gitops_ml.delivery.targets.settings import Canary, KubernetesTarget
from gitops_ml.delivery.web import WebService

LOOK_S = 10.0
Put = Callable[[Kubectl, list[Object], Order], None]
Watched = tuple[dict[str, Counts], dict[str, Counts]]


@dataclass(frozen=True)
class Trial:
    """The part of the pods that a new release gets first. The share of traffic is that of the pods."""

    kubectl: Kubectl
    manifests: Manifests
    order: Order
    settings: KubernetesTarget
    pause: Callable[[float], None] = field(repr=False)

    @property
    def name(self) -> str:
        return canary_name(self.manifests.name)

    def sweep(self, found: Object | None) -> None:
        """Remove the canary `found`, such as one that a dead run left; that of a newer run raises `FencedError`."""
        if found is None:
            return
        refuse_late(fence_of(found), self.order)
        # Its pods too: while they end, they would answer as a release that nobody decided on.
        self.kubectl.run("delete", "deployment", self.name, "--ignore-not-found", "--cascade=foreground")

    def run(self, put: Put, replicas: int) -> str:
        """Start the canary beside `replicas` pods and watch it; returns why it was abandoned, or an empty text."""
        policy = self.settings.canary
        if policy is None:
            return ""
        try:
            put(self.kubectl, canary_of(self.manifests, share(policy.weight, replicas)), self.order)
            problem = self._ready() or self._watch(policy)
        finally:
            self.sweep(self._deployment())
        name = short(self.order.release.release)
        return f"{name} was abandoned as a canary: {problem}" if problem else ""

    def _deployment(self) -> Object | None:
        return next(iter(self.kubectl.get("deployments", self.name)), None)

    def _ready(self) -> str:
        said = self.kubectl.rollout_status(self.name, self.settings.timeout)
        after = rollout_of(self._deployment())
        if after.complete and after.release == self.order.release.release:
            return ""
        events = self.kubectl.get("events", "--field-selector=type=Warning")
        why = last_words(self._pods(), events, self.order.release.release)
        return (said.problem if said.code else "it is gone") + (f" ({why})" if why else "")

    def _watch(self, policy: Canary) -> str:
        """Count answers of both releases for the policy's duration, and judge them; early where it is hopeless."""
        left = policy.duration.total_seconds()
        before_new, before_old = self._counts()
        now_new, now_old = before_new, before_old
        while left > 0:
            self.pause(min(LOOK_S, left))
            left -= LOOK_S
            now_new, now_old = self._counts()
            problem = hopeless(policy, total(now_new, before_new))
            if problem:
                return problem
        return judge(policy, total(now_new, before_new), total(now_old, before_old))

    def _counts(self) -> Watched:
        """What the serving pods of the canary's release, and of any other, have counted, by the pods' names."""
        new: dict[str, Counts] = {}
        old: dict[str, Counts] = {}
        folder = f"/api/v1/namespaces/{self.manifests.namespace}/pods/"
        with self.kubectl.proxy(f"^{re.escape(folder)}[^/]+/proxy/metrics$") as url:
            for pod in self._pods():
                if not ready(pod):
                    continue
                name = pod["metadata"]["name"]
                at = f"{url}{folder}{name}:{self.manifests.container_port}/proxy"
                reply = WebService(at).ask(Request("/metrics"))
                counts = (
                    read_counts(reply.body.decode("utf-8", "replace")) if reply.status == 200 else Counts()
                )
                mine = identity(pod)[0] == self.order.release.release
                (new if mine else old)[name] = counts
        return new, old

    def _pods(self) -> list[Mapping[str, Any]]:
        """Every pod that the Service chooses."""
        service = next(
            one
            for one in self.manifests.objects
            if one["kind"] == "Service" and one["metadata"]["name"] == self.manifests.service
        )
        chosen = ",".join(f"{name}={value}" for name, value in sorted(service["spec"]["selector"].items()))
        return list(self.kubectl.get("pods", f"--selector={chosen}"))


def share(weight: int, replicas: int) -> int:
    """How many pods beside `replicas` make up about `weight` percent of all; at least one."""
    return max(1, round(replicas * weight / (100 - weight)))
