"""The fixtures that every test with real git starts from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gitops_ml.delivery.environment import render
from gitops_ml.delivery.release import Manifest

from tests.delivery.office import Office
from tests.delivery.repositories import PIPELINE, STAGING, commit, git, make_clone, make_origin, push
from tests.delivery.shop import Shop
from tests.fakes.forge import Forge


def make_shop(folder: Path) -> Shop:
    clone = make_clone(make_origin(folder), "clone")
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


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, list[Manifest]]:
    """A shop that has shipped two releases, to be copied and not to be changed: shipping takes time."""
    shop = make_shop(tmp_path_factory.mktemp("shipped"))
    return shop, [shop.ship(), shop.ship()]


@pytest.fixture
def office(
    shipped: tuple[Shop, list[Manifest]],
    tmp_path: Path,
    forge: Forge,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Office:
    """An office in whose production the second of two releases runs."""
    model, releases = shipped
    shutil.copytree(model.clone.parent, tmp_path / "shop")
    clone = tmp_path / "shop" / "clone"
    git(clone, "remote", "set-url", "origin", str(tmp_path / "shop" / "origin.git"))
    return Office(Shop(clone, model.number), forge, monkeypatch, capsys, *releases)


@pytest.fixture
def new_office(
    shop: Shop, forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Office:
    """An office in which nothing was ever released."""
    return Office(shop, forge, monkeypatch, capsys)
