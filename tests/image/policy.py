"""What a manifest for Kubernetes has to say, whatever else it says: the list that the generated ones are held to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
_BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def violations(objects: Sequence[Object]) -> list[str]:
    """One line for each rule that is broken; empty when all hold."""
    deployments = [one for one in objects if one["kind"] == "Deployment"]
    found = [] if deployments else ["there is no Deployment"]
    for deployment in deployments:
        found += _pod(deployment["spec"]["template"]["spec"])
        found += _companions(deployment, objects)
    return found


def _pod(pod: Object) -> Iterator[str]:
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or not context.get("runAsUser"):
        yield "the pod may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token of the cluster"
    if pod.get("hostNetwork") or any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield "the pod reaches into its node"
    for container in pod["containers"]:
        yield from _container(container)
        told = {entry["name"]: entry.get("value") for entry in container.get("env", [])}
        needed = sum(int(told.get(f"SERVING_{name}_SECONDS") or 0) for name in ("DRAIN", "SHUTDOWN"))
        if pod.get("terminationGracePeriodSeconds", 30) <= needed:
            yield "the grace period is shorter than drain and shutdown"


def _container(container: Object) -> Iterator[str]:
    if not _BY_DIGEST.fullmatch(container["image"]):
        yield f"the image {container['image']} is not named by its digest"
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "the container may gain rights"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "the container may write"
    if context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "the container keeps capabilities"
    resources = container.get("resources", {})
    for part, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "cpu"), ("limits", "memory")):
        if name not in resources.get(part, {}):
            yield f"the container has no {name} in its {part}"
    for probe in _PROBES:
        if probe not in container:
            yield f"the container has no {probe}"


def _companions(deployment: Object, objects: Sequence[Object]) -> Iterator[str]:
    """Objects that speak of the deployment's pods, and must mean them."""
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    chosen = {
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
        "Service": _find(objects, "Service").get("selector"),
        "PodDisruptionBudget": _find(objects, "PodDisruptionBudget").get("selector", {}).get("matchLabels"),
        "NetworkPolicy": _find(objects, "NetworkPolicy").get("podSelector", {}).get("matchLabels"),
    }
    for kind, selector in chosen.items():
        if not selector or not selector.items() <= labels.items():
            yield f"no {kind} chooses the deployment's pods"
    target = _find(objects, "HorizontalPodAutoscaler").get("scaleTargetRef", {})
    if (target.get("kind"), target.get("name")) != ("Deployment", deployment["metadata"]["name"]):
        yield "no HorizontalPodAutoscaler scales the deployment"
    if set(_find(objects, "NetworkPolicy").get("policyTypes", [])) != {"Ingress", "Egress"}:
        yield "the NetworkPolicy leaves a direction open"


def _find(objects: Sequence[Object], kind: str) -> Mapping[str, Any]:
    return next((one["spec"] for one in objects if one["kind"] == kind), {})
