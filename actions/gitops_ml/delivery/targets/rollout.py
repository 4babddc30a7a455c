"""What a cluster says of a Deployment and of its pods, as typed values; and what pods say last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitops_ml.delivery.manifests import DIGEST, RELEASE, Object, fence_of
from gitops_ml.delivery.typed import as_digest, as_release

# Reasons of a container that waits without any trouble.
_NORMAL = ("ContainerCreating", "PodInitializing")
MOST_WORDS = 3


@dataclass(frozen=True)
class Rollout:
    """A Deployment at one moment: what its pods should be, and how far it is. Without one, nothing is there."""

    release: str | None = None
    digest: str | None = None
    fence: int = 0
    complete: bool = False
    replicas: int = 0
    version: str = ""  # changes with each change of the object
    template: Object | None = None


def rollout_of(deployment: Mapping[str, Any] | None) -> Rollout:
    """Read `deployment`; complete is what `kubectl rollout status` calls successfully rolled out, with pods."""
    if deployment is None:
        return Rollout()
    meta, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    updated = int(status.get("updatedReplicas") or 0)
    complete = (
        int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
        and updated >= wanted > 0
        and int(status.get("replicas") or 0) <= updated
        and int(status.get("availableReplicas") or 0) >= updated
    )
    release, digest = identity(spec["template"])
    return Rollout(
        release=release,
        digest=digest,
        fence=fence_of(deployment),
        complete=complete,
        replicas=wanted,
        version=str(meta.get("resourceVersion", "")),
        template=spec["template"],
    )


def identity(template: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Release and digest that pods of `template` say they are; None for what is no such name."""
    said = (template.get("metadata") or {}).get("annotations") or {}
    return as_release(said.get(RELEASE)), as_digest(said.get(DIGEST))


def serving_beside(replica_sets: Iterable[Mapping[str, Any]], name: str, release: str) -> Object | None:
    """The pods' template of the newest generation of Deployment `name` that has serving pods and is not `release`.

    That is what a rolling update which came to no end leaves in charge, whoever began it.
    """
    found: list[tuple[int, Object]] = []
    for one in replica_sets:
        owners = one["metadata"].get("ownerReferences") or []
        if not any((owner.get("kind"), owner.get("name")) == ("Deployment", name) for owner in owners):
            continue
        template = one["spec"]["template"]
        if not (one.get("status") or {}).get("availableReplicas") or identity(template)[0] == release:
            continue
        revision = (one["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", "0")
        labels = {
            name: value
            for name, value in (template["metadata"].get("labels") or {}).items()
            if name != "pod-template-hash"
        }
        kept = {**template, "metadata": {**template["metadata"], "labels": labels}}
        found.append((int(revision) if revision.isdecimal() else 0, kept))
    return max(found, key=lambda one: one[0])[1] if found else None


def ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    serving = any((one.get("type"), one.get("status")) == ("Ready", "True") for one in conditions)
    return serving and "deletionTimestamp" not in pod["metadata"]


def last_words(pods: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]], release: str) -> str:
    """Why the pods of `release` don't serve: what their containers and the cluster said of them, newest last."""
    failing = [pod for pod in pods if identity(pod)[0] == release and not ready(pod)]
    said: list[str] = []
    for pod in failing:
        said += _of_pod(pod)
    names = {pod["metadata"]["name"] for pod in failing}
    warnings = [
        f"{one.get('reason', '')}: {one.get('message', '')}"
        for one in sorted(events, key=_moment)
        if (one.get("involvedObject") or {}).get("name") in names and one.get("type") == "Warning"
    ]
    # Several pods of one release say the same.
    words = list(dict.fromkeys(said))[:MOST_WORDS]
    words += list(dict.fromkeys(warnings))[-MOST_WORDS:]
    return "; ".join(" ".join(word.split())[:160] for word in dict.fromkeys(words))


def _of_pod(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status") or {}
    for one in status.get("conditions") or []:
        if (one.get("type"), one.get("status")) == ("PodScheduled", "False"):
            yield f"{one.get('reason', 'Unschedulable')}: {one.get('message', '')}"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get(
            "terminated"
        )
        if waiting and waiting.get("reason") not in _NORMAL:
            yield f"{waiting.get('reason', 'waiting')}: {waiting.get('message', '')}"
        if ended:
            message = ended.get("message") or ""
            yield f"{ended.get('reason', 'Error')} with exit code {ended.get('exitCode')}: {message}".rstrip(
                ": "
            )


def _moment(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
