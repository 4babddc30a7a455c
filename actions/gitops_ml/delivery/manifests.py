"""Objects of Kubernetes as kustomize rendered them: finding the model among them, and naming its release."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import Order
from gitops_ml.errors import UserError

Object = dict[str, Any]
# The pods say which release they are, so that what is undone with the pods is undone with them; the fence stands on
# every object, outside of the pods, so that a higher one restarts nothing.
RELEASE = "gitops-ml/release"
DIGEST = "gitops-ml/digest"
FENCE = "gitops-ml/fence"
TRACK = "gitops-ml/track"
_VARIABLES = {"RELEASE_ID", "IMAGE_DIGEST"}
# Written in C where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What pods need before they can start.
_NEEDED_BY_PODS = ("Namespace", "ServiceAccount", "ConfigMap", "Secret")


@dataclass(frozen=True)
class Manifests:
    """The objects of one environment, in the order in which they are applied. Exactly one Deployment is the model's.

    `service` and `port` name the Service that chooses its pods, `container_port` is that of the model's container.
    """

    objects: tuple[Object, ...]
    deployment: Object
    service: str
    port: str
    container_port: int

    @property
    def name(self) -> str:
        return str(self.deployment["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.deployment["metadata"]["namespace"])

    @property
    def selector(self) -> str:
        """The labels of the model's pods, as kubectl takes them."""
        labels = self.deployment["spec"]["selector"]["matchLabels"]
        return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def read_manifests(rendered: str, repository: str, overlay: str) -> Manifests:
    """Find the model in `rendered`: the one Deployment with a container of the image `repository`.

    Raises `UserError` naming `overlay` where there is none or several, no namespace, or no Service in front of it.
    """
    try:
        loaded = [one for one in yaml.load_all(rendered, _LOADER) if one is not None]
    except yaml.YAMLError as error:
        raise UserError(f"{overlay}: kustomize rendered something that is not YAML ({error}).") from None
    if not all(isinstance(one, dict) and _named(one) for one in loaded):
        raise UserError(f"{overlay}: kustomize rendered something that is no object of Kubernetes.")
    found = [one for one in loaded if one["kind"] == "Deployment" and list(_models(one, repository))]
    if len(found) != 1:
        raise UserError(
            f"{overlay}: {len(found)} Deployments have a container of the image {repository}; there must be one.",
            "Name the repository of `image:` in environments/pipeline.yaml in the overlay's `images:` as newName.",
        )
    (deployment,) = found
    if not deployment["metadata"].get("namespace"):
        raise UserError(f"{overlay}: no namespace is named.", "Add `namespace:` to its kustomization.yaml.")
    container = next(_models(deployment, repository))
    ports = [port["containerPort"] for port in container.get("ports") or []]
    service, port = _service(loaded, deployment, overlay)
    return Manifests(tuple(loaded), deployment, service, port, int(ports[0]) if ports else 8000)


def name_release(manifests: Manifests, order: Order) -> Manifests:
    """The same objects with the release of `order`: image by digest, what the container is told, labels of the pods."""
    deployment = copy.deepcopy(manifests.deployment)
    image = order.release.artifacts.image
    for container in _models(deployment, repository_of(image)):
        container["image"] = image
        kept = [one for one in container.get("env") or [] if one.get("name") not in _VARIABLES]
        told = [{"name": name, "value": value} for name, value in sorted(order.variables.items())]
        container["env"] = [*told, *kept]
    meta = deployment["spec"]["template"].setdefault("metadata", {})
    meta.setdefault("labels", {})[RELEASE] = short(order.release.release)
    meta.setdefault("annotations", {})[RELEASE] = order.release.release
    meta["annotations"][DIGEST] = order.release.artifacts.digest
    dropped = _drop_placeholders(manifests.objects, deployment)
    objects = tuple(
        deployment if one is manifests.deployment else copy.deepcopy(one)
        for one in manifests.objects
        if key(one) not in dropped
    )
    return Manifests(objects, deployment, manifests.service, manifests.port, manifests.container_port)


def canary_of(manifests: Manifests, replicas: int) -> list[Object]:
    """`replicas` pods of the named release beside those that serve, behind the same Service, and what they need."""
    canary = copy.deepcopy(manifests.deployment)
    canary["metadata"]["name"] = canary_name(manifests.name)
    canary["spec"]["replicas"] = replicas
    for labels in (
        canary["spec"]["selector"]["matchLabels"],
        canary["spec"]["template"]["metadata"]["labels"],
        canary["metadata"].setdefault("labels", {}),
    ):
        labels[TRACK] = "canary"
    needed = [copy.deepcopy(one) for one in manifests.objects if one["kind"] in _NEEDED_BY_PODS]
    return [*needed, canary]


def canary_name(name: str) -> str:
    return f"{name}-canary"


def fenced(objects: Iterable[Object], fence: int) -> list[Object]:
    """Copies of `objects` that remember `fence`."""
    marked = copy.deepcopy(list(objects))
    for one in marked:
        one["metadata"].setdefault("annotations", {})[FENCE] = str(fence)
    return marked


def fence_of(one: Mapping[str, Any] | None) -> int:
    """The fence that `one` remembers; 0 when it remembers none."""
    found = ((one or {}).get("metadata", {}).get("annotations") or {}).get(FENCE, "")
    return int(found) if found.isdecimal() else 0


def key(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Group, kind, namespace and name: the same for an object in a file and in the cluster."""
    group = one["apiVersion"].partition("/")[0] if "/" in one["apiVersion"] else ""
    return group, one["kind"], one["metadata"].get("namespace") or "", one["metadata"]["name"]


def repository_of(image: str) -> str:
    """The repository of an image, without its tag and digest."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def _named(one: Mapping[str, Any]) -> bool:
    meta = one.get("metadata")
    return bool(one.get("apiVersion") and one.get("kind") and isinstance(meta, dict) and meta.get("name"))


def _models(deployment: Object, repository: str) -> Iterator[Object]:
    pod = deployment["spec"]["template"]["spec"]
    for container in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]:
        if repository_of(container.get("image") or "") == repository:
            yield container


def _service(objects: list[Object], deployment: Object, overlay: str) -> tuple[str, str]:
    """Name and port of the Service that chooses the deployment's pods; the port called http before any other."""
    labels = (deployment["spec"]["template"].get("metadata") or {}).get("labels") or {}
    for one in objects:
        spec = one.get("spec") or {}
        if one["kind"] != "Service" or not spec.get("selector") or not spec.get("ports"):
            continue
        if spec["selector"].items() <= labels.items():
            ports = sorted(spec["ports"], key=lambda port: port.get("name") != "http")
            return str(one["metadata"]["name"]), str(ports[0].get("name") or ports[0]["port"])
    raise UserError(
        f"{overlay}: no Service chooses the pods of the Deployment {deployment['metadata']['name']}, so nobody could"
        " ask the release.",
        "Add a Service whose selector matches the labels of its pods.",
    )


def _drop_placeholders(objects: Iterable[Object], deployment: Object) -> set[tuple[str, str, str, str]]:
    """ConfigMaps that only stand in for what the container is now told itself; references to them are taken out."""
    stand_ins = {
        one["metadata"]["name"]: key(one)
        for one in objects
        if one["kind"] == "ConfigMap" and set(one.get("data") or {}) == _VARIABLES
    }
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        sources = container.get("envFrom") or []
        kept = [one for one in sources if (one.get("configMapRef") or {}).get("name") not in stand_ins]
        if sources and not kept:
            del container["envFrom"]
        elif sources:
            container["envFrom"] = kept
    return set(stand_ins.values())
