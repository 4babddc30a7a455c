"""`gitops-ml promote` with real git and a forge: one pull request, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gitops_ml.delivery import move
from gitops_ml.delivery.environment import render

from tests.actions.launching import files_of
from tests.delivery.office import Office, named, titles
from tests.delivery.repositories import PIPELINE, commit, git


def test_automation_opens_one_pull_request_for_what_staging_proved(office: Office) -> None:
    candidate = office.candidate()
    assert office.promote() == 0
    (pull,) = office.open
    assert pull.title == f"Promote {named(candidate)} to production"
    assert pull.ref == f"promote/production/{candidate.release[2:10]}"
    assert pull.author == "github-actions[bot]"
    head = office.branch(pull)
    assert office.shop.check(head, "origin/main") == 0
    assert (
        git(office.shop.clone, "diff", "--name-only", "origin/main", head) == "environments/production.yaml"
    )
    assert git(office.shop.clone, "rev-parse", f"{head}^") == git(
        office.shop.clone, "rev-parse", "origin/main"
    )
    written = git(office.shop.clone, "show", f"{head}:environments/production.yaml") + "\n"
    assert written.encode() == render("production", candidate.artifacts)
    office.merge(pull.number)
    assert office.shop.deploy("production").release == candidate.release


def test_the_outputs_name_the_pull_request(office: Office, tmp_path: Path) -> None:
    candidate = office.candidate()
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    assert (
        office.run("promote", "--automatic", GITHUB_OUTPUT=str(outputs), GITHUB_STEP_SUMMARY=str(summary))
        == 0
    )
    number = office.open[0].number
    assert files_of(outputs) == {
        "pull-request": str(number),
        "url": f"https://github.com/octo/model/pull/{number}",
        "release": candidate.release,
        "reason": f"{named(candidate)} is proven in every environment before production",
    }
    assert f"#{number}" in summary.read_text(encoding="utf-8")


def test_nothing_to_promote_is_a_quiet_success_for_automation_and_an_error_for_a_person(
    office: Office,
) -> None:
    assert office.promote() == 0
    assert "Nothing to promote: production stays at" in office.said[-1]
    assert office.promote(by="ann") == 2
    unproven = office.shop.release()
    assert office.promote() == 0
    assert office.promote(by="ann") == 2
    assert f"{named(unproven)} has no evidence in staging" in office.said[-1]
    assert office.forge.state.pulls == []
    assert [name for name in office.forge.state.git.heads() if "/" in name] == []  # type: ignore[union-attr]


def test_twice_the_same_is_one_pull_request_and_one_commit(office: Office) -> None:
    office.candidate()
    office.promote()
    before = (office.open[0].sha, office.open[0].body)
    assert office.promote() == 0
    assert [(pull.sha, pull.body) for pull in office.forge.state.pulls] == [before]
    assert "Open already" in office.said[-1]
    assert office.forge.requests("PATCH") == []


def test_a_commit_on_main_beside_it_leaves_it_alone(office: Office) -> None:
    office.candidate()
    office.promote()
    before = office.open[0].sha
    office.write("Explain", README_md="Hello.\n")
    assert office.promote() == 0
    assert office.open[0].sha == before


def test_a_person_names_a_release_by_its_first_digits(office: Office) -> None:
    older, newer = office.candidate(), office.candidate()
    assert office.promote("--release", older.release[:10], by="ann") == 0
    assert titles(office) == [f"Promote {named(older)} to production"]
    assert office.open[0].author == "ann"
    assert "Requested-By: ann" in git(
        office.shop.clone, "log", "-1", "--format=%B", office.branch(office.open[0])
    )
    # Automation has something newer, and gives way to what a person asked for.
    assert office.promote() == 0
    assert titles(office) == [f"Promote {named(older)} to production"]
    assert [named(newer) in text for text in office.comments(office.open[0].number)] == [True]
    assert office.promote() == 0
    assert len(office.comments(office.open[0].number)) == 1


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("r-ffffffff", "No release on deploy-state begins with r-ffffffff"),
        ("r-1", "'r-1' is not a release"),
        ("../../etc", "'../../etc' is not a release"),
        ("--force", "'--force' is not a release"),
        ("\x1b[31m", "'\\x1b[31m' is not a release"),
    ],
)
def test_what_is_no_release_is_one_error(office: Office, typed: str, why: str) -> None:
    assert office.run("promote", f"--release={typed}", by="ann") == 2
    assert why in office.said[-1]


def test_what_served_before_is_a_rollback_and_no_promotion(office: Office) -> None:
    assert office.promote("--release", office.first.release, by="ann") == 2
    assert f"make rollback ENV=production TO={named(office.first)}" in office.said[-1]
    assert office.promote("--release", office.second.release, by="ann") == 2
    assert f"production is at {named(office.second)} already" in office.said[-1]


def test_a_revoked_release_is_not_promoted(office: Office) -> None:
    candidate = office.candidate()
    office.promote()
    number = office.open[0].number
    revoked = f"schema: 1\nrevoked:\n  - release: {candidate.release}\n    reason: it leaks @team #1\n"
    office.write("Revoke", environments__revoked_yaml=revoked)
    assert office.promote("--release", candidate.release, by="ann") == 2
    assert "revoked: it leaks" in office.said[-1]
    assert office.promote() == 0
    assert office.open == []
    (why,) = office.comments(number)
    assert f"{named(candidate)} is revoked: it leaks" in why
    assert "@team" not in why


def test_a_soak_that_every_merge_starts_anew_is_explained(office: Office) -> None:
    office.write("Soak", environments__pipeline_yaml=PIPELINE + "    soak: 2h\n")
    candidate = office.candidate()
    for by in (None, "ann"):
        assert office.promote(by=by) == (2 if by else 0)
        assert f"write `pin: {candidate.release}`" in office.said[-1]
    assert office.open == []


def test_an_environment_that_takes_no_promotions_is_one_error(office: Office) -> None:
    assert office.promote("--environment", "staging", by="ann") == 2
    assert "'staging' takes no promotions" in office.said[-1]
    assert office.run("promote", "--automatic", "--release", "r-12345678") == 2


def test_several_environments_are_each_proposed_by_automation_and_named_by_a_person(office: Office) -> None:
    policy = PIPELINE.replace("  - name: production", "  - {name: qa}\n  - name: production")
    office.write("Grow", environments__pipeline_yaml=policy, environments__qa_yaml=render("qa", None))
    candidate = office.candidate()
    assert office.promote(by="ann") == 2
    assert "These environments take promotions: qa, production" in office.said[-1]
    assert office.promote() == 0
    assert titles(office) == [f"Promote {named(candidate)} to qa"]


Edit = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b"commit: ", b"commit:  "),
        lambda text: text + b"# by Ann\n",
        lambda text: text.replace(b'run: "run-', b'run: "ran-'),
    ],
    ids=["spelling", "comment", "hash"],
)
def test_a_promotion_by_hand_fails_its_check(office: Office, edit: Edit) -> None:
    candidate = office.candidate()
    git(office.shop.clone, "checkout", "--quiet", "-B", "hand", "main")
    commit(
        office.shop.clone,
        "By hand",
        environments__production_yaml=edit(render("production", candidate.artifacts)),
    )
    assert office.shop.check("hand") == 1


def test_the_same_world_gives_the_same_commit(office: Office) -> None:
    office.candidate()
    office.promote()
    first = office.open[0].sha
    office.forge.close(office.open[0].number)
    git(office.shop.clone, "push", "--quiet", "origin", f":{office.forge.state.pulls[0].ref}")
    assert office.promote() == 0
    assert office.open[0].sha == first


def test_who_stays_is_decided_by_approval_then_person_then_number() -> None:
    ranks = [
        move.Rival(1, None, approved=False, asked=False).rank,
        move.Rival(2, None, approved=False, asked=False).rank,
        move.Rival(1, None, approved=False, asked=True).rank,
        move.Rival(1, None, approved=True, asked=False).rank,
    ]
    assert ranks == sorted(ranks)
