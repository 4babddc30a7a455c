"""`gitops-ml check` in a real repository: what may not be merged, and who decides."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from gitops_ml.delivery.environment import render
from gitops_ml.delivery.release import Manifest

from tests.delivery.repositories import PIPELINE, STAGING, commit, git, push
from tests.delivery.shop import Shop

Edit = Callable[[Shop, Manifest, Manifest], dict[str, str]]


def artifacts(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    text = render("production", one.artifacts).decode()
    return {"environments__production_yaml": text.replace(one.artifacts.image, two.artifacts.image)}


def with_code(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {
        "environments__production_yaml": render("production", one.artifacts).decode(),
        "src__x_py": "x = 1\n",
    }


def with_policy(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    policy = PIPELINE.replace("    evidence: [version]\n", "")
    return {
        "environments__production_yaml": render("production", one.artifacts).decode(),
        "environments__pipeline_yaml": policy,
    }


def two_at_once(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    pin = STAGING.replace("follow: main", f"pin: {one.release}")
    return {
        "environments__production_yaml": render("production", one.artifacts).decode(),
        "environments__staging_yaml": pin,
    }


def commented(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {"environments__production_yaml": render("production", one.artifacts).decode() + "# by Ann\n"}


def following(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {"environments__production_yaml": STAGING.replace("staging", "production")}


def renamed(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {"environments__production_yaml": render("staging", one.artifacts).decode()}


def emptied(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {"environments__production_yaml": render("production", None).decode()}


def stray(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {"environments__canary_yaml": render("canary", one.artifacts).decode()}


def clocked(shop: Shop, one: Manifest, two: Manifest) -> dict[str, str]:
    return {"environments__production_yaml": render("production", one.artifacts).decode() + "since: today\n"}


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (artifacts, "the artifacts hash to r-"),
        (with_code, "together with src/x.py"),
        (with_policy, "together with environments/pipeline.yaml"),
        (two_at_once, "2 environments at once"),
        (commented, "a revert would not be exact"),
        (following, "this key is not known"),
        (renamed, "this is the file of production, not of staging"),
        (emptied, "can't go back to none"),
        (stray, "pipeline.yaml does not change"),
        (clocked, "this key is not known"),
    ],
)
def test_what_is_no_legal_move_is_refused(
    shop: Shop, edit: Edit, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.ship()
    one, two = shop.release(), shop.release()
    shop.deploy("staging")
    git(shop.clone, "checkout", "--quiet", "-B", "odd", "main")
    commit(shop.clone, "Odd", **edit(shop, one, two))
    assert shop.check("odd") == 1
    said = capsys.readouterr().out
    assert said.startswith("tampering: ")
    assert why in said.replace("\\'", "'")


def test_a_change_is_judged_by_the_policy_of_main_and_not_by_its_own(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = shop.release()
    git(shop.clone, "checkout", "--quiet", "-B", "loosen", "main")
    commit(shop.clone, "Ask for less", environments__pipeline_yaml=PIPELINE.replace("[version]", "[smoke]"))
    assert shop.check("loosen") == 0
    assert capsys.readouterr().out.startswith("policy: ")
    commit(shop.clone, "And promote", environments__production_yaml=render("production", manifest.artifacts))
    assert shop.check("loosen") == 1


def test_a_revoked_release_goes_nowhere_not_even_back(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = shop.ship(), shop.ship()
    revoked = f"schema: 1\nrevoked:\n  - release: {first.release}\n    reason: leaks\n"
    commit(shop.clone, "Revoke", environments__revoked_yaml=revoked)
    push(shop.clone)
    assert shop.check(shop.branch(first)) == 1
    assert "failed   not revoked: revoked: leaks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("schema: 1\nenvironments:\n  - {name: production}\n", "line 3, key 'environments.0.follow'"),
        (PIPELINE + "  - {name: late, follow: true}\n", "line 7, key 'environments.2.follow'"),
        (PIPELINE + "  - {name: staging}\n", "line 7, key 'environments.2.name': staging stands twice"),
        (PIPELINE + "    gate: none\n", "line 7, key 'environments.1.gate': this key is not known"),
        (PIPELINE + "  - {name: qa}\n", "names qa, but environments/qa.yaml does not exist"),
    ],
)
def test_a_policy_that_cannot_be_is_an_error_with_its_line(
    shop: Shop, policy: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    git(shop.clone, "checkout", "--quiet", "-B", "policy", "main")
    commit(shop.clone, "Policy", environments__pipeline_yaml=policy)
    assert shop.check("policy") == 2
    assert why in capsys.readouterr().err


def test_the_check_is_told_in_one_sentence(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.ship()
    manifest = shop.release()
    branch = shop.branch(manifest)
    git(shop.clone, "checkout", "--quiet", "-B", "words", "main")
    commit(shop.clone, "Words", docs__a_md="words")
    for deployed, name, wanted in (
        (False, branch, "Promotion check: promotion, production from .* proven in staging waiting: "),
        (True, branch, "Promotion check: promotion, production from .*: every rule is met[.]$"),
        (False, "words", "$"),
    ):
        if deployed:
            shop.deploy("staging")
        outputs = tmp_path / f"outputs-{deployed}-{name}"
        monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
        shop.check(name)
        said = re.search(r"^said<<(.*)\n(?:(.*)\n)?\1$", outputs.read_text(), re.MULTILINE)
        assert said is not None
        assert re.match(wanted, said[2] or "")
