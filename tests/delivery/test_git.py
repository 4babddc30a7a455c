"""Delivery in a real repository: a protected main, squash merges, exact reverts, conflicts, status and trace."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.change import Change, classify
from gitops_ml.delivery.checkout import open_repository, read_files
from gitops_ml.delivery.environment import render
from gitops_ml.delivery.plan import plan
from gitops_ml.delivery.propose import propose
from gitops_ml.errors import UserError

from tests.delivery.repositories import PIPELINE, STAGING, commit, git, push
from tests.delivery.shop import Shop


def test_main_takes_nothing_but_merges_and_facts_are_append_only(shop: Shop) -> None:
    shop.release()
    commit(shop.clone, "Past the pull request", src__model_py="version = 9\n")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        git(shop.clone, "push", "--quiet", "origin", "HEAD:main")
    assert "changes go through pull requests" in refused.value.stderr
    git(shop.clone, "checkout", "--quiet", "-B", "facts", "origin/deploy-state")
    next((shop.clone / "releases").iterdir()).write_text("{}", encoding="utf-8")
    git(shop.clone, "commit", "--quiet", "--all", "-m", "Change a fact")
    with pytest.raises(subprocess.CalledProcessError) as rewritten:
        git(shop.clone, "push", "--quiet", "origin", "HEAD:deploy-state")
    assert "append-only" in rewritten.value.stderr


def test_a_release_goes_all_the_way_and_a_revert_brings_the_earlier_one_back_byte_for_byte(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shop.ship()
    earlier = shop.content()
    second = shop.ship()
    assert shop.content() != earlier
    assert shop.world().desired["production"].generation == 3
    git(shop.clone, "checkout", "--quiet", "-B", "undo", "main")
    git(shop.clone, "revert", "--no-edit", "HEAD")
    assert shop.content() == earlier
    assert shop.check("undo") == 0
    assert capsys.readouterr().out.startswith("revert: production from ")
    git(shop.clone, "checkout", "--quiet", "main")
    shop.squash("undo")
    world = shop.world()
    assert world.desired["production"].generation == 4
    assert world.desired["production"].history == (None, first.release, second.release, first.release)
    assert shop.deploy("production").release == first.release
    assert plan(shop.world(), "production", shop.world().facts.live("production")).action == "nothing"
    # Sticky: automation does not bring back what was left, a person can, and it is proven all the same.
    assert propose(shop.world(), "production").release is None
    assert propose(shop.world(), "production", asked=second.release).release == second.release


def test_an_older_release_comes_back_although_a_plain_revert_would_conflict(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shop.ship()
    promotion = git(shop.clone, "rev-parse", "HEAD")
    shop.ship()
    shop.ship()
    with pytest.raises(subprocess.CalledProcessError):
        git(shop.clone, "revert", "--no-edit", f"{promotion}")
    git(shop.clone, "revert", "--abort")
    assert shop.check(shop.branch(first)) == 0
    assert capsys.readouterr().out.startswith("rollback: ")


def test_of_two_promotions_at_once_one_merges_and_the_other_conflicts(shop: Shop) -> None:
    one, two = shop.release(), shop.release()
    heads = shop.branch(one, "one"), shop.branch(two, "two")
    shop.squash(heads[0])
    after = shop.content()
    with pytest.raises(subprocess.CalledProcessError) as conflict:
        shop.squash(heads[1])
    assert "CONFLICT" in conflict.value.stdout
    assert shop.content() == after
    assert shop.check(heads[1]) == 1


def test_the_same_promotion_twice_is_an_empty_change(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = shop.release()
    heads = shop.branch(manifest, "one"), shop.branch(manifest, "two")
    shop.squash(heads[0])
    with pytest.raises(subprocess.CalledProcessError) as empty:
        shop.squash(heads[1])
    assert "nothing to commit" in empty.value.stdout


def test_promotions_rollbacks_and_documents_build_nothing(shop: Shop) -> None:
    key = build_key(shop.git.entries(shop.ship().artifacts.commit))
    commit(shop.clone, "Explain", docs__guide_md="Read me.\n", README_md="Hello.\n")
    assert build_key(shop.git.entries("HEAD")) == key
    commit(
        shop.clone, "Pin", environments__staging_yaml=STAGING.replace("follow: main", f"pin: r-{'0' * 64}")
    )
    assert build_key(shop.git.entries("HEAD")) == key
    commit(shop.clone, "Change the model", src__model_py="version = 99\n")
    assert build_key(shop.git.entries("HEAD")) != key
    git(shop.clone, "revert", "--no-edit", "HEAD")
    assert build_key(shop.git.entries("HEAD")) == key


def test_staging_goes_back_when_main_takes_a_change_back(shop: Shop) -> None:
    first = shop.release()
    shop.deploy("staging")
    shop.release()
    shop.deploy("staging")
    git(shop.clone, "revert", "--no-edit", "HEAD")
    push(shop.clone)
    assert shop.world().desired["staging"].release == first.release
    assert shop.deploy("staging").release == first.release
    assert propose(shop.world(), "production").release == first.release


def test_a_commit_that_is_still_being_built_leaves_staging_where_it_is(shop: Shop) -> None:
    first = shop.release()
    commit(shop.clone, "Not built yet", src__model_py="version = 99\n")
    push(shop.clone)
    assert shop.world().desired["staging"].release == first.release


def test_a_merge_commit_counts_once(shop: Shop) -> None:
    manifest = shop.release()
    head = shop.branch(manifest)
    git(shop.clone, "merge", "--quiet", "--no-ff", "-m", "Merge", head)
    push(shop.clone)
    assert shop.world().desired["production"].generation == 2


def test_a_promotion_waits_for_its_proof(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = shop.release()
    head = shop.branch(manifest)
    assert shop.check(head) == 1
    assert "waiting  proven in staging: " in capsys.readouterr().out
    shop.deploy("staging")
    assert shop.check(head) == 0
    assert capsys.readouterr().out.startswith("promotion: production from none to r-")


def test_status_and_trace_tell_what_git_knows(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--repository", str(shop.clone)]
    assert cli.main(["status", *words]) == 0
    assert "staging" in capsys.readouterr().out
    first = shop.ship()
    assert cli.main(["status", *words]) == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("production"))
    assert line.split()[:6] == [
        "production",
        "in",
        "sync",
        first.release[:10],
        first.release[:10],
        first.artifacts.commit[:7],
    ]
    assert "roc_auc 0.901" in line
    assert line.endswith("ann")
    for identifier in (
        first.release,
        first.artifacts.commit[:7],
        first.artifacts.model,
        first.artifacts.digest,
    ):
        assert cli.main(["trace", identifier, *words]) == 0
        assert f"release   {first.release}" in capsys.readouterr().out
    log = shop.clone / "service.jsonl"
    log.write_text(f'noise\n{{"request_id": "q-1", "release": "{first.release}"}}\n', encoding="utf-8")
    assert cli.main(["trace", "q-1", "--log", str(log), *words]) == 0
    assert "deployed" in capsys.readouterr().out
    assert cli.main(["trace", "q-2", "--log", str(log), *words]) == 2
    assert cli.main(["trace", "fffffff", *words]) == 2


def test_status_is_red_when_a_release_could_not_become_healthy(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.ship()
    shop.release()
    shop.deploy("staging", healthy=False)
    assert cli.main(["status", "--repository", str(shop.clone)]) == 1
    assert "staging      unhealthy" in capsys.readouterr().out


def test_a_cut_off_history_is_refused(shop: Shop, tmp_path: Path) -> None:
    shop.release()
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path / 'origin.git'}", str(shallow))
    with pytest.raises(UserError, match="cut off"):
        open_repository(shallow)


def test_links_among_the_environments_are_refused(shop: Shop) -> None:
    (shop.clone / "environments" / "production.yaml").unlink()
    (shop.clone / "environments" / "production.yaml").symlink_to("/etc/passwd")
    head = commit(shop.clone, "Link")
    with pytest.raises(UserError, match="not a regular file"):
        read_files(shop.git, head)


def classified(shop: Shop, head: str) -> Change:
    fork = git(shop.clone, "merge-base", "main", head)
    paths: Sequence[str] = shop.git.changed(fork, head)
    return classify(shop.world(), paths, read_files(shop.git, "main"), read_files(shop.git, head))


def test_pins_and_other_changes_have_names_of_their_own(shop: Shop) -> None:
    manifest = shop.release()
    git(shop.clone, "checkout", "--quiet", "-B", "pin", "main")
    head = commit(
        shop.clone,
        "Pin",
        environments__staging_yaml=STAGING.replace("follow: main", f"pin: {manifest.release}"),
    )
    assert classified(shop, head).kind == "pin"
    git(shop.clone, "checkout", "--quiet", "-B", "docs", "main")
    assert classified(shop, commit(shop.clone, "Docs", README_md="Hello.\n")).kind == "none"
    git(shop.clone, "checkout", "--quiet", "-B", "grow", "main")
    policy = PIPELINE.replace("  - name: production", "  - {name: qa}\n  - name: production")
    empty = render("qa", None)
    head = commit(shop.clone, "Grow", environments__pipeline_yaml=policy, environments__qa_yaml=empty)
    assert classified(shop, head).kind == "policy"
    assert shop.check("grow") == 0
