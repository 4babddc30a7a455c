"""A Deployment in a cluster: applied by the server, one writer at a time, and taken back when it gets nowhere."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitops_ml.delivery.checkout import open_repository
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.manifests import (
    FENCE,
    Manifests,
    Object,
    fence_of,
    fenced,
    key,
    name_release,
)
from gitops_ml.delivery.overlay import read_overlay
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.proof import prove
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import Order, refuse_late
from gitops_ml.delivery.targets.kubectl import MANAGER, Kubectl, as_list
from gitops_ml.delivery.targets.kubernetes_canary import Trial
from gitops_ml.delivery.targets.rollout import Rollout, identity, last_words, rollout_of, serving_beside
from gitops_ml.delivery.targets.said import said_version
from gitops_ml.delivery.targets.settings import KubernetesTarget
from gitops_ml.delivery.web import WebService
from gitops_ml.errors import UserError

ATTEMPTS = 20
LONGEST_PAUSE_S = 2.0
# What the API server says when an object was changed since it was read.
_CONFLICT = re.compile(r"\(Conflict\)|object has been modified|(Already|already )[Ee]xists")


@dataclass
class Kubernetes:
    """The environment that `settings` names; `pause` takes seconds, and is replaced in tests.

    A Deployment is found by its image: the one container of the overlay whose image is `image:` of the pipeline. The
    overlay is that of the commit which is checked out in `repository`, whatever lies in its work tree.
    """

    settings: KubernetesTarget
    environment: str
    pipeline: Pipeline
    repository: Path
    environ: Mapping[str, str] = field(repr=False)
    facts: Facts = field(default_factory=Facts, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def live(self) -> Live:
        manifests = self._manifests()
        kubectl = self._kubectl(manifests)
        found = self._rollout(kubectl, manifests)
        if found.template is None:
            return Live(fence=found.fence)
        with self._service(kubectl, manifests) as service:
            release, digest = said_version(service)
        serves = (release, digest) == (found.release, found.digest) and release is not None
        return Live(
            release=release or found.release,
            digest=digest or found.digest,
            healthy=found.complete and serves,
            fence=found.fence,
        )

    def apply(self, order: Order) -> str:
        manifests = name_release(self._manifests(), order)
        kubectl = self._kubectl(manifests)
        trial = Trial(kubectl, manifests, order, self.settings, self.pause)
        there = {
            one["metadata"]["name"]: one for one in kubectl.get("deployments", manifests.name, trial.name)
        }
        before = rollout_of(there.get(manifests.name))
        refuse_late(before.fence, order)
        trial.sweep(there.get(trial.name))
        if (
            self.settings.canary is not None
            and before.complete
            and before.release not in (None, order.release.release)
        ):
            self._claim(kubectl, manifests, before, order)
            problem = trial.run(self._put, before.replicas)
            if problem:
                return problem
        self._put(kubectl, list(manifests.objects), order)
        problem = self._await(kubectl, manifests, order)
        if not problem:
            return ""
        return self._take_back(kubectl, manifests, order, before, problem)

    def prove(self, order: Order) -> Mapping[str, bool]:
        manifests = self._manifests()
        with self._service(self._kubectl(manifests), manifests) as service:
            return prove(service, order)

    def _manifests(self) -> Manifests:
        git = open_repository(self.repository, self.environ)
        return read_overlay(git, self.pipeline, self.settings.overlay, self.environ)

    def _kubectl(self, manifests: Manifests) -> Kubectl:
        return Kubectl(manifests.namespace, self.settings.context, self.environ)

    def _rollout(self, kubectl: Kubectl, manifests: Manifests) -> Rollout:
        found = kubectl.get("deployments", manifests.name)
        return rollout_of(found[0] if found else None)

    @contextmanager
    def _service(self, kubectl: Kubectl, manifests: Manifests) -> Iterator[WebService]:
        """The service, asked through the API server."""
        path = f"/api/v1/namespaces/{manifests.namespace}/services/{manifests.service}:{manifests.port}/proxy"
        # No dots but that of openapi.json: `..` would lead out of the service.
        with kubectl.proxy(rf"^{re.escape(path)}/[A-Za-z0-9_/-]*(\.json)?$") as url:
            yield WebService(url + path)

    def _claim(self, kubectl: Kubectl, manifests: Manifests, before: Rollout, order: Order) -> None:
        """Remember the fence before anything else happens, as a change of what was read and of nothing newer."""
        for attempt in range(1, ATTEMPTS + 1):
            # With a resourceVersion in it, a patch is refused when the object has been changed since.
            meta = {"resourceVersion": before.version, "annotations": {FENCE: str(order.fence)}}
            words = ("patch", "deployment", manifests.name, "--type=merge", f"--field-manager={MANAGER}")
            said = kubectl.try_(*words, f"--patch={json.dumps({'metadata': meta})}")
            if said.code == 0:
                return
            if not _CONFLICT.search(said.errors):
                raise kubectl.refused("patch", said)
            self._wait(attempt)
            before = self._rollout(kubectl, manifests)
            refuse_late(before.fence, order)
        raise _too_busy(manifests)

    def _put(self, kubectl: Kubectl, objects: list[Object], order: Order) -> None:
        """Apply `objects`, each as a change of what was read; raises `FencedError` where one is of a newer run."""
        marked = fenced(objects, order.fence)
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "--filename=-")
        for attempt in range(1, ATTEMPTS + 1):
            there = {key(one): one for one in kubectl.get_same(objects)}
            for one in marked:
                found = there.get(key(one))
                refuse_late(fence_of(found), order)
                one["metadata"].pop("resourceVersion", None)
                if found is not None:
                    one["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            said = kubectl.try_(*words, stdin=as_list(marked))
            if said.code == 0:
                return
            if not _CONFLICT.search(said.errors):
                raise kubectl.refused("apply", said)
            self._wait(attempt)
        raise UserError(
            f"The objects of {self.environment} changed {ATTEMPTS} times while they were applied."
        )

    def _await(self, kubectl: Kubectl, manifests: Manifests, order: Order) -> str:
        """Wait for the rollout to end; returns why it came to nothing, or an empty text."""
        said = kubectl.rollout_status(manifests.name, self.settings.timeout)
        # What the cluster says decides: the command may have lost its connection, or seen a newer run's rollout.
        after = self._rollout(kubectl, manifests)
        refuse_late(after.fence, order)
        if after.complete and after.release == order.release.release:
            return ""
        return said.problem if said.code else "its pods were replaced meanwhile"

    def _take_back(
        self, kubectl: Kubectl, manifests: Manifests, order: Order, before: Rollout, problem: str
    ) -> str:
        """Let what served before serve again, unless a newer run has taken over; returns what happened."""
        pods = kubectl.get("pods", f"--selector={manifests.selector}")
        events = kubectl.get("events", "--field-selector=type=Warning")
        why = last_words(pods, events, order.release.release)
        name = short(order.release.release)
        reason = f"{name} did not become healthy: {problem}" + (f" ({why})" if why else "")
        beside = serving_beside(kubectl.get("replicasets"), manifests.name, order.release.release)
        template = beside or (before.template if before.release != order.release.release else None)
        if template is None:
            return f"{reason}; nothing served before it"
        patch = [
            # The fence may not be another's: it is looked at by the server, in the same step.
            {
                "op": "test",
                "path": f"/metadata/annotations/{FENCE.replace('/', '~1')}",
                "value": str(order.fence),
            },
            {"op": "replace", "path": "/spec/template", "value": template},
        ]
        words = ("patch", "deployment", manifests.name, "--type=json", f"--field-manager={MANAGER}")
        said = kubectl.try_(*words, f"--patch={json.dumps(patch)}")
        if said.code != 0:
            refuse_late(self._rollout(kubectl, manifests).fence, order)
            return f"{reason}; and it could not be taken back: {said.problem}"
        kubectl.rollout_status(manifests.name, self.settings.timeout)
        after = self._rollout(kubectl, manifests)
        refuse_late(after.fence, order)
        previous = short(identity(template)[0])
        return f"{reason}; {previous} {'serves again' if after.complete else 'is not healthy again either'}"

    def _wait(self, attempt: int) -> None:
        # Full jitter: equal pauses would let the same writers collide again.
        self.pause(random.uniform(0, min(LONGEST_PAUSE_S, 0.05 * 2**attempt)))  # noqa: S311


def _too_busy(manifests: Manifests) -> UserError:
    return UserError(f"The Deployment {manifests.name} changed {ATTEMPTS} times while it was claimed.")
