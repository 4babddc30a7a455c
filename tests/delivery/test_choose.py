"""From a line in pipeline.yaml to the target: every kind that the settings know is there and fits the loop."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_args

import pytest
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import read_pipeline
from gitops_ml.delivery.targets import base
from gitops_ml.delivery.targets.choose import TARGETS, choose
from gitops_ml.delivery.targets.settings import TargetSettings
from gitops_ml.reading import read_document

KINDS = {
    "registry": "{kind: registry}",
    "compose": "{kind: compose}",
    "kubernetes": "{kind: kubernetes, overlay: deploy/kubernetes/staging}",
    "gitops-pull": "{kind: gitops-pull, overlay: deploy/k, branch: deploy/staging, url: 'https://example.org'}",
}


def test_every_kind_of_settings_has_a_target() -> None:
    known = {settings.model_fields["kind"].annotation for settings in get_args(get_args(TargetSettings)[0])}
    assert {get_args(kind)[0] for kind in known} == set(TARGETS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_line_in_the_pipeline_chooses_a_target(kind: str, tmp_path: Path) -> None:
    """The programs that a target looks for are played."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "kubectl"):
        program = programs / name
        program.write_text("#!/bin/sh\necho 2.30.0\n", encoding="utf-8")
        program.chmod(0o755)
    text = f"""schema: 1
image: ghcr.io/octo/churn
environments:
  - name: staging
    follow: true
    target: {KINDS[kind]}
"""
    pipeline = read_pipeline(read_document(text.encode(), "pipeline.yaml"))
    target = choose("staging", pipeline, tmp_path, {"PATH": f"{programs}:/usr/bin:/bin"}, Facts())
    for name in ("live", "apply", "prove"):
        wanted = list(inspect.signature(getattr(base.Target, name)).parameters)[1:]
        assert list(inspect.signature(getattr(target, name)).parameters) == wanted
