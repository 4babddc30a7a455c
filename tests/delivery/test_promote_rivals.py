"""Of all promotions of an environment one pull request stays open, also when several people ask at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from gitops_ml.delivery.environment import render

from tests.actions.launching import ACTIONS
from tests.delivery.office import RUN, Office, named, titles
from tests.delivery.repositories import PIPELINE, STAGING, commit, git
from tests.fakes import troubles
from tests.fakes.state import Pull


def test_a_newer_release_takes_the_place_of_one_that_nobody_approved(office: Office) -> None:
    office.candidate()
    office.promote()
    old = office.open[0]
    newer = office.candidate()
    assert office.promote() == 0
    assert titles(office) == [f"Promote {named(newer)} to production"]
    assert office.comments(old.number) == [f"{named(newer)} takes its place."]
    assert list(office.forge.state.git.heads()) == [  # type: ignore[union-attr]
        "deploy-state",
        "main",
        office.open[0].ref,
    ]


@pytest.mark.parametrize("by", [None, "ann"])
def test_what_is_approved_is_never_changed(office: Office, by: str | None) -> None:
    office.candidate()
    office.promote()
    office.forge.approve(office.open[0].number)
    before = (office.open[0].number, office.open[0].sha, office.open[0].body)
    newer = office.candidate()
    for _ in range(2):
        assert office.promote(by=by) == (2 if by else 0)
    assert [(pull.number, pull.sha, pull.body) for pull in office.open] == [before]
    (told,) = office.comments(before[0])
    assert f"{named(newer)} could be promoted to production too" in told


@pytest.mark.parametrize("approved", [False, True])
def test_a_promotion_that_can_not_be_merged_any_more_is_proposed_anew(office: Office, approved: bool) -> None:
    candidate = office.candidate()
    office.promote()
    stale = office.open[0]
    if approved:
        office.forge.approve(stale.number)
    office.rollback()
    rollback = next(pull for pull in office.open if pull.ref.startswith("rollback/"))
    office.merge(rollback.number)
    office.shop.deploy("production")
    stale.state = "open"
    git(office.shop.clone, "push", "--quiet", "--force", "origin", f"{stale.sha}:refs/heads/{stale.ref}")
    with pytest.raises(AssertionError, match="not mergeable"):
        office.forge.merge(stale.number)
    assert office.promote() == 0
    (pull,) = office.open
    assert (pull.number == stale.number) == (not approved)
    assert pull.ref == f"promote/production/{candidate.release[2:10]}"
    assert office.shop.check(office.branch(pull), "origin/main") == 0
    office.merge(pull.number)


def test_a_branch_that_somebody_edited_is_written_anew(office: Office) -> None:
    office.candidate()
    office.promote()
    (pull,) = office.open
    right = pull.sha
    git(office.shop.clone, "checkout", "--quiet", "-B", "edit", office.branch(pull))
    edited = commit(office.shop.clone, "Edit", src__model_py="version = 99\n")
    git(office.shop.clone, "push", "--quiet", "origin", f"HEAD:{pull.ref}")
    assert office.shop.check(edited, "origin/main") == 1
    assert office.promote() == 0
    assert [one.sha for one in office.open] == [right]
    assert edited[:7] in office.comments(pull.number)[0]


def test_what_became_pointless_is_closed_with_the_reason(office: Office) -> None:
    candidate = office.candidate()
    office.promote()
    office.forge.approve(office.open[0].number)
    number = office.open[0].number
    office.write("By hand", environments__production_yaml=render("production", candidate.artifacts))
    assert office.promote() == 0
    assert office.open == []
    assert office.comments(number) == [f"production is at {named(candidate)} already."]


def test_branches_of_what_was_merged_are_deleted_by_the_next_run(office: Office) -> None:
    office.candidate()
    office.promote()
    merged = office.open[0].ref
    office.merge(office.open[0].number)
    assert merged in office.forge.state.git.heads()  # type: ignore[union-attr]
    newer = office.candidate()
    assert office.promote() == 0
    assert (
        [name for name in office.forge.state.git.heads() if "/" in name]
        == [  # type: ignore[union-attr]
            f"promote/production/{newer.release[2:10]}"
        ]
    )


def test_what_main_took_back_is_closed_unless_a_person_asked_for_it(office: Office) -> None:
    candidate = office.candidate()
    office.promote()
    number = office.open[0].number
    pin = STAGING.replace("follow: main", f"pin: {office.second.release}")
    office.write("Hold staging", environments__staging_yaml=pin)
    assert office.promote() == 0
    assert office.open == []
    assert f"{named(candidate)} was taken back" in office.comments(number)[0]
    assert office.promote("--release", candidate.release, by="ann") == 0
    assert office.promote() == 0
    assert titles(office) == [f"Promote {named(candidate)} to production"]


def test_what_is_not_ours_is_left_alone(office: Office) -> None:
    office.candidate()
    git(office.shop.clone, "push", "--quiet", "origin", "HEAD~1:refs/heads/promote/production/by-hand")
    office.forge.state.pulls.append(
        Pull(1, "stranger/model", f"promote/production/{office.first.release[2:10]}")
    )
    office.forge.state.pulls.append(Pull(2, "octo/model", "promote/production/by-hand"))
    assert office.promote() == 0
    assert [pull.number for pull in office.open] == [1, 2, 3]
    assert office.forge.state.comments == []


def test_a_server_that_ignores_filters_makes_no_difference(office: Office) -> None:
    """Gitea lists pull requests whatever their state, head and base are."""
    office.forge.ignores_filters = True
    office.candidate()
    office.promote()
    office.forge.close(office.open[0].number)
    elsewhere = f"promote/production/{office.first.release[2:10]}"
    git(office.shop.clone, "push", "--quiet", "origin", f"HEAD~1:refs/heads/{elsewhere}")
    office.forge.state.pulls.append(Pull(9, "octo/model", elsewhere, base="release"))
    newer = office.candidate()
    assert [office.promote(), office.promote()] == [0, 0]
    assert [pull.title for pull in office.open if pull.base == "main"] == [
        f"Promote {named(newer)} to production"
    ]
    assert len(office.open) == 2


def test_two_environments_do_not_disturb_each_other(office: Office) -> None:
    policy = PIPELINE.replace("  - name: production", "  - {name: qa}\n  - name: production")
    office.write("Grow", environments__pipeline_yaml=policy, environments__qa_yaml=render("qa", None))
    office.candidate()
    office.promote()
    office.merge(office.open[0].number)
    office.shop.deploy("qa")
    older = office.shop.world().desired["qa"].release
    newer = office.candidate()
    assert office.promote() == 0
    assert set(titles(office)) == {
        f"Promote {named(str(older))} to production",
        f"Promote {named(newer)} to qa",
    }


def start(office: Office, release: str, by: str) -> subprocess.Popen[str]:
    """A process of its own that promotes `release`."""
    environ = {
        **{name: value for name, value in os.environ.items() if name not in RUN},
        "GITHUB_TOKEN": office.forge.token_of(by),
        "PYTHONPATH": str(ACTIONS),
    }
    words = ["-m", "gitops_ml", "promote", "--repository", str(office.shop.clone), "--release", release]
    return subprocess.Popen(
        [sys.executable, *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("different", [False, True])
def test_two_processes_at_once_leave_one_pull_request(office: Office, different: bool) -> None:
    one, two = office.candidate(), office.candidate()
    wanted = (one if different else two).release, two.release
    running = [start(office, release, by) for release, by in zip(wanted, ("ann", "bob"), strict=True)]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert len(office.open) == 1, said
    assert office.open[0].title in [f"Promote {named(release)} to production" for release in wanted]
    assert any(process.returncode == 0 for process in running), said
    assert office.shop.check(office.branch(office.open[0]), "origin/main") == 0


@pytest.mark.parametrize("newer_first", [False, True])
def test_two_that_do_not_see_each_other_settle_on_one(office: Office, newer_first: bool) -> None:
    """The other's pull request comes between the look at the list and our own."""
    one, two = office.candidate(), office.candidate()
    theirs, ours = (two, one) if newer_first else (one, two)
    content = render("production", theirs.artifacts)

    def meanwhile() -> None:
        git(office.shop.clone, "checkout", "--quiet", "-B", "theirs", "origin/main")
        commit(office.shop.clone, "Theirs", environments__production_yaml=content)
        ref = f"promote/production/{theirs.release[2:10]}"
        git(office.shop.clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{ref}")
        office.forge.open_pull(ref, f"Promote {named(theirs)} to production", by="bob")

    office.forge.meanwhile("POST", "/pulls$", meanwhile)
    assert office.promote("--release", ours.release, by="ann") == 0
    assert titles(office) == [f"Promote {named(ours)} to production"]


def test_of_two_torn_promotions_one_conflicts(office: Office) -> None:
    one, two = office.candidate(), office.candidate()
    office.promote("--release", one.release, by="ann")
    torn = office.open[0].number
    git(office.shop.clone, "checkout", "--quiet", "-B", "theirs", "origin/main")
    commit(office.shop.clone, "Theirs", environments__production_yaml=render("production", two.artifacts))
    git(office.shop.clone, "push", "--quiet", "origin", "HEAD:refs/heads/theirs")
    office.merge(office.forge.open_pull("theirs"))
    with pytest.raises(AssertionError, match="not mergeable"):
        office.forge.merge(torn)
    assert office.shop.world().desired["production"].release == two.release
    assert office.shop.check(office.branch(office.forge.state.pulls[0]), "origin/main") == 1


def test_a_lost_answer_does_not_make_a_second_one(office: Office) -> None:
    office.candidate()
    office.forge.trouble("POST", "/pulls$", troubles.SERVER_ERROR, after=True)
    assert office.promote() == 2
    assert office.promote() == 0
    assert len(office.forge.state.pulls) == 1


def test_a_run_that_may_not_open_pull_requests_says_which_setting_to_change(office: Office) -> None:
    candidate = office.candidate()
    office.forge.state.rules.actions_open_pulls = False
    assert office.promote() == 2
    assert "Allow GitHub Actions to create and approve pull requests" in office.said[-1].replace("%0A", " ")
    assert f"compare/main...promote/production/{candidate.release[2:10]}" in office.said[-1]
