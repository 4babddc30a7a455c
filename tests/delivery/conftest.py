"""The fixture that every test with real git starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops_ml.delivery.environment import render

from tests.delivery.repositories import PIPELINE, STAGING, commit, git, make_clone, make_origin, push
from tests.delivery.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    clone = make_clone(make_origin(tmp_path), "clone")
    git(clone, "checkout", "--quiet", "-B", "main")
    commit(
        clone,
        "Begin",
        environments__pipeline_yaml=PIPELINE,
        environments__staging_yaml=STAGING,
        environments__production_yaml=render("production", None),
        src__model_py="version = 0\n",
    )
    push(clone)
    return Shop(clone)
