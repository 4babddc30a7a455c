"""From the settings of an environment to its target; a target's module is imported only where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.targets.base import Target

# Kind of target to module and class. Each class takes what `choose` is given, after its own settings.
TARGETS = {
    "registry": ("registry", "Registry"),
    "compose": ("compose", "Compose"),
    "kubernetes": ("kubernetes", "Kubernetes"),
    "gitops-pull": ("gitops_pull", "GitopsPull"),
}


def choose(
    environment: str, pipeline: Pipeline, repository: Path, environ: Mapping[str, str], facts: Facts
) -> Target:
    """The target of `environment`.

    `repository` is the folder of the clone, for files that the settings name; `environ` is that of the run, with what
    its tools need; `facts` are as they were when the run read them, for targets that keep less than the journal does.
    """
    settings = pipeline.step(environment).target
    module, name = TARGETS[settings.kind]
    found = getattr(import_module(f"gitops_ml.delivery.targets.{module}"), name)
    target: Target = found(settings, environment, pipeline, repository, environ, facts)
    return target
