"""What production runs, as a second baseline of a pull request."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops_ml.cli import main
from gitops_ml.delivery.release import Manifest
from gitops_ml.reports import read_recorded

from tests.actions.launching import files_of
from tests.delivery.repositories import commit, git, push
from tests.delivery.shop import Shop

METRICS = {"roc_auc": 0.97, "log_loss": 0.1}


@pytest.fixture
def recorded(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the verb writes; its outputs stand beside it."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    monkeypatch.setattr("tests.delivery.shop.made", with_metrics)
    return tmp_path / "production.json"


def with_metrics(*words: object) -> Manifest:
    from tests.delivery.repositories import made

    return made(*words).model_copy(update={"metrics": METRICS, "image_bytes": 583_000_000})


def ask(shop: Shop, file: Path, *words: str) -> tuple[int, str]:
    git(shop.clone, "fetch", "--quiet", "origin")
    code = main(["recorded", f"--repository={shop.clone}", f"--output={file}", *words])
    outputs = file.with_name("outputs")
    return code, files_of(outputs).get("recorded", "") if outputs.exists() else ""


def test_before_anything_serves_there_is_none(shop: Shop, recorded: Path) -> None:
    shop.release()
    assert ask(shop, recorded) == (0, "")
    assert not recorded.exists()


def test_it_is_what_serves_and_not_what_is_newest(shop: Shop, recorded: Path) -> None:
    served = shop.ship()
    shop.release()
    assert ask(shop, recorded) == (0, str(recorded))
    found = read_recorded(recorded)
    assert dict(found.metrics) == METRICS
    assert (found.run.commit, found.run.model_hash) == (served.artifacts.commit, served.artifacts.model)


def test_the_image_of_the_merge_base_has_a_size(shop: Shop, recorded: Path) -> None:
    """Documents on top of it change nothing; files that no release was built from have none."""
    shop.release()
    commit(shop.clone, "Words", docs__a_md="words")
    push(shop.clone)
    git(shop.clone, "checkout", "--quiet", "-B", "branch", "main")
    commit(shop.clone, "Change", src__x_py="x = 1\n")
    for base, wanted in (("origin/main", "583000000"), ("HEAD", ""), ("nowhere", "")):
        assert ask(shop, recorded, f"--base={base}")[0] == 0
        assert files_of(recorded.with_name("outputs"))["image-bytes"] == wanted
        recorded.with_name("outputs").unlink()


def test_an_environment_that_does_not_exist_is_an_error(
    shop: Shop, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.ship()
    assert ask(shop, recorded, "--environment=moon")[0] == 2
    assert "These are: staging, production." in capsys.readouterr().err
