"""`deploy/kubernetes` of a generated project: rendered by kustomize, judged by schemas and by our policy."""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.policy import violations
from tests.tools.required import need
from tools.template_files import render

ENVIRONMENTS = ("staging", "production")


@pytest.fixture(scope="module")
def folder(template: Path, environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    answers = {"deploy_target": "kubernetes"}
    project, _ = render(template, tmp_path_factory.mktemp("kubernetes"), answers, lock=False, environ=environ)
    return project / "deploy" / "kubernetes"


def build(folder: Path) -> list[dict[str, Any]]:
    kustomize = need("kustomize")
    done = subprocess.run([kustomize, "build", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def validate(objects: list[dict[str, Any]], path: Path) -> subprocess.CompletedProcess[str]:
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    command = [need("kubernetes-validate"), "--strict", path]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_is_valid_and_within_the_policy(folder: Path, name: str, tmp_path: Path) -> None:
    objects = build(folder / name)
    assert violations(objects) == []
    done = validate(objects, tmp_path / "all.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one["metadata"]["namespace"] for one in objects} == {f"tumour-triage-{name}"}


def test_the_schemas_find_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    objects = build(folder / "staging")
    next(one for one in objects if one["kind"] == "Deployment")["spec"]["replica"] = 2
    assert validate(objects, tmp_path / "all.yaml").returncode != 0


def test_nothing_starts_before_a_release_is_named(folder: Path) -> None:
    (deployment,) = [one for one in build(folder / "production") if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith("@sha256:" + "0" * 64)


def test_naming_a_release_changes_image_and_environment(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "kubernetes"
    shutil.copytree(folder, copied)
    digest, kustomize = "sha256:" + "a" * 64, need("kustomize")
    for words in (
        ("image", f"model=registry.example/model@{digest}"),
        ("configmap", "release", "--from-literal=RELEASE_ID=r-1", f"--from-literal=IMAGE_DIGEST={digest}"),
    ):
        subprocess.run([kustomize, "edit", "set", *words], cwd=copied / "production", check=True)
    before, after = build(folder / "production"), build(copied / "production")
    assert violations(after) == []

    def of(objects: list[dict[str, Any]]) -> tuple[Any, Any, Any]:
        (release,) = [one for one in objects if one["kind"] == "ConfigMap"]
        (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return release["data"], container["image"], container["envFrom"]

    data, image, source = of(after)
    assert data == {"RELEASE_ID": "r-1", "IMAGE_DIGEST": digest}
    assert image == f"registry.example/model@{digest}"
    # Another name, so that pods are replaced also when only the name of the release is new.
    assert source != of(before)[2]


def test_the_monitor_can_be_added(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "kubernetes"
    shutil.copytree(folder, copied)
    with (copied / "staging" / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("components: [../monitor]\n")
    objects = build(copied / "staging")
    (monitor,) = [one for one in objects if one["kind"] == "ServiceMonitor"]
    (service,) = [one for one in objects if one["kind"] == "Service"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def pod(objects: list[Any]) -> Any:
    return next(one for one in objects if one["kind"] == "Deployment")["spec"]["template"]["spec"]


def spec(objects: list[Any], kind: str) -> Any:
    return next(one for one in objects if one["kind"] == kind)["spec"]


BREACHES: dict[str, Callable[[list[Any]], object]] = {
    "there is no Deployment": lambda o: o.remove(next(one for one in o if one["kind"] == "Deployment")),
    "may run as root": lambda o: pod(o)["securityContext"].update(runAsNonRoot=False),
    "no seccomp profile": lambda o: pod(o)["securityContext"].pop("seccompProfile"),
    "token of the cluster": lambda o: pod(o).pop("automountServiceAccountToken"),
    "reaches into its node": lambda o: pod(o)["volumes"].append({"name": "n", "hostPath": {"path": "/"}}),
    "grace period is shorter": lambda o: pod(o).update(terminationGracePeriodSeconds=40),
    "not named by its digest": lambda o: pod(o)["containers"][0].update(
        image="registry.example/model:latest"
    ),
    "may gain rights": lambda o: pod(o)["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "may write": lambda o: pod(o)["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    "keeps capabilities": lambda o: pod(o)["containers"][0]["securityContext"].pop("capabilities"),
    "no memory in its limits": lambda o: pod(o)["containers"][0]["resources"]["limits"].pop("memory"),
    "no cpu in its requests": lambda o: pod(o)["containers"][0]["resources"]["requests"].pop("cpu"),
    "no startupProbe": lambda o: pod(o)["containers"][0].pop("startupProbe"),
    "no readinessProbe": lambda o: pod(o)["containers"][0].pop("readinessProbe"),
    "no livenessProbe": lambda o: pod(o)["containers"][0].pop("livenessProbe"),
    "no Service chooses": lambda o: spec(o, "Service")["selector"].update(other="x"),
    "no PodDisruptionBudget chooses": lambda o: spec(o, "PodDisruptionBudget").pop("selector"),
    "no NetworkPolicy chooses": lambda o: spec(o, "NetworkPolicy").update(podSelector={}),
    "no HorizontalPodAutoscaler": lambda o: spec(o, "HorizontalPodAutoscaler")["scaleTargetRef"].update(
        name="x"
    ),
    "leaves a direction open": lambda o: spec(o, "NetworkPolicy")["policyTypes"].remove("Egress"),
}


@pytest.fixture(scope="module")
def good(folder: Path) -> list[dict[str, Any]]:
    return build(folder / "production")


@pytest.mark.parametrize("words", BREACHES)
def test_the_policy_finds_each_breach(good: list[dict[str, Any]], words: str) -> None:
    broken = copy.deepcopy(good)
    BREACHES[words](broken)
    found = violations(broken)
    assert len(found) == 1, found
    assert words in found[0]
