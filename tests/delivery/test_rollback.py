"""`gitops-ml rollback` with real git and a forge: one command, one pull request, nothing in its way."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from gitops_ml.delivery.back import way_back
from gitops_ml.delivery.environment import pinned
from gitops_ml.delivery.trailers import with_trailers

from tests.delivery.office import Office
from tests.delivery.repositories import STAGING, git
from tests.fakes import troubles


def trailers(office: Office, commit_: str) -> dict[str, str]:
    """What git itself reads at the end of a commit's message."""
    said = git(office.shop.clone, "log", "-1", "--format=%(trailers:only,unfold)", commit_)
    return dict(line.split(": ", 1) for line in said.splitlines())


def test_the_release_before_comes_back_byte_for_byte_as_a_revert_would_bring_it(office: Office) -> None:
    first, second = office.first, office.second
    git(office.shop.clone, "checkout", "--quiet", "-B", "undo", "main")
    git(office.shop.clone, "revert", "--no-edit", "HEAD")
    reverted = office.shop.content()
    git(office.shop.clone, "checkout", "--quiet", "main")
    assert office.rollback() == 0
    (pull,) = office.open
    assert (pull.title, pull.ref) == (
        f"Roll production back to {first.release[:10]}",
        f"rollback/production/{first.release[2:10]}",
    )
    head = office.branch(pull)
    assert office.shop.content(head) == reverted
    assert office.shop.check(head, "origin/main") == 0
    assert trailers(office, head) == {
        "Rollback-To": first.release,
        "Rollback-From": second.release,
        "Reason": "it is slow",
        "Requested-By": "ann",
    }
    office.merge(pull.number)
    assert trailers(office, "main")["Reason"] == "it is slow"
    assert office.shop.deploy("production").release == first.release


def test_automation_does_not_bring_back_what_was_left_until_somebody_asks(office: Office) -> None:
    second = office.second
    office.rollback()
    office.merge(office.open[0].number)
    office.shop.deploy("production")
    assert office.promote() == 0
    assert office.open == []
    assert "make promote asks for it" in office.said[-1]
    assert office.promote(by="ann") == 0
    assert [pull.title for pull in office.open] == [f"Promote {second.release[:10]} to production"]
    assert office.shop.check(office.branch(office.open[0]), "origin/main") == 0


def test_any_release_that_served_can_be_named_by_its_first_digits(office: Office) -> None:
    first = office.first
    office.ship()
    assert office.rollback("--to", first.release[:10]) == 0
    assert first.release[:10] in office.open[0].title
    assert office.shop.check(office.branch(office.open[0]), "origin/main") == 0
    assert "takes back" in office.open[0].body


def test_twice_the_same_is_one_pull_request(office: Office) -> None:
    office.rollback(reason="it is slow")
    before = (office.open[0].sha, office.open[0].body)
    assert office.rollback(by="bob", reason="it is wrong") == 0
    (pull,) = office.open
    assert (pull.sha, pull.body) == before
    assert "Open already" in office.said[-1]


def test_another_target_takes_the_place_of_the_first_even_if_that_is_approved(office: Office) -> None:
    first, second = office.first, office.second
    office.ship()
    office.rollback()
    asked = office.open[0]
    assert second.release[:10] in asked.title
    office.forge.approve(asked.number)
    assert office.rollback("--to", first.release) == 0
    assert [first.release[:10] in pull.title for pull in office.open] == [True]
    assert office.comments(asked.number) == [f"{first.release[:10]} takes its place."]
    assert asked.ref not in office.forge.state.git.heads()  # type: ignore[union-attr]


@pytest.mark.parametrize("approved", [False, True])
def test_an_open_promotion_does_not_stand_in_the_way(office: Office, approved: bool) -> None:
    office.candidate()
    office.promote()
    promotion = office.open[0]
    if approved:
        office.forge.approve(promotion.number)
    assert office.rollback() == 0
    rollback = office.open[-1]
    assert rollback.ref.startswith("rollback/")
    assert (promotion in office.open) == approved
    assert f"rolled back by #{rollback.number}" in office.comments(promotion.number)[0]
    # And while it is open, nothing is promoted beside it.
    assert office.promote() == 0
    assert f"the rollback #{rollback.number} of production is open" in office.said[-1]
    assert office.promote(by="ann") == 2
    assert len(office.open) == 1 + approved
    office.merge(rollback.number)


def test_a_rollback_is_open_even_if_the_promotion_can_not_be_closed(office: Office) -> None:
    office.candidate()
    office.promote()
    office.forge.trouble("PATCH", rf"/pulls/{office.open[0].number}", troubles.READ_ONLY)
    assert office.rollback() == 0
    assert "could not be closed" in office.said[-1]
    assert office.open[-1].ref.startswith("rollback/")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--to", "r-00000000"), "No release on deploy-state begins with r-00000000"),
        (("--to", "r-"), "'r-' is not a release"),
        (("--environment", "nowhere"), "'nowhere' is no environment of environments/pipeline.yaml"),
    ],
)
def test_what_can_not_be_meant_is_one_error(office: Office, words: tuple[str, ...], why: str) -> None:
    assert office.rollback(*words) == 2
    assert why in office.said[-1]
    assert office.open == []


def test_there_has_to_be_a_way_back(new_office: Office) -> None:
    office = new_office
    first = office.ship()
    assert office.rollback() == 2
    assert f"nothing was healthy in production before {first.release[:10]}" in office.said[-1]
    newer = office.candidate()
    assert office.rollback("--to", newer.release) == 2
    assert "was never healthy in production" in office.said[-1]
    assert "make promote RELEASE=" in office.said[-1]
    assert office.rollback("--to", first.release) == 2
    assert "is at" in office.said[-1]
    assert office.rollback(reason=" \n ") == 2
    assert "needs its reason" in office.said[-1]


def test_a_revoked_release_is_passed_over_and_refused_by_name(office: Office) -> None:
    first, second = office.first, office.second
    office.ship()
    revoked = f"schema: 1\nrevoked:\n  - release: {second.release}\n    reason: leaks\n"
    office.write("Revoke", environments__revoked_yaml=revoked)
    assert office.rollback("--to", second.release) == 2
    assert "is revoked: leaks" in office.said[-1]
    assert office.rollback() == 0
    assert first.release[:10] in office.open[0].title


def test_a_release_whose_manifest_is_unreadable_is_passed_over(office: Office) -> None:
    office.ship()
    world = office.shop.world()
    assert way_back(world, "production").release == office.second.release
    kept = {name: one for name, one in world.facts.releases.items() if name != office.second.release}
    unreadable = replace(world, facts=replace(world.facts, releases=kept))
    assert way_back(unreadable, "production").release == office.first.release


def test_a_release_that_never_became_healthy_is_left_for_the_one_that_serves(office: Office) -> None:
    second = office.second
    office.candidate()
    office.promote()
    office.merge(office.open[0].number)
    office.shop.deploy("production", healthy=False)
    assert office.rollback() == 0
    assert second.release[:10] in office.open[0].title
    assert "could not become healthy" in office.open[0].body


def test_staging_is_held_at_a_release_and_told_how_to_follow_again(office: Office) -> None:
    first = office.first
    assert office.rollback("--environment", "staging") == 0
    (pull,) = office.open
    assert pull.title == f"Hold staging at {first.release[:10]}"
    head = office.branch(pull)
    written = git(office.shop.clone, "show", f"{head}:environments/staging.yaml") + "\n"
    assert written == STAGING.replace("follow: main", f"pin: {first.release}")
    assert office.shop.check(head, "origin/main") == 0
    assert "write `follow: main`" in office.said[-1]
    office.merge(pull.number)
    assert office.shop.world().desired["staging"].release == first.release


def test_a_pin_keeps_comments_and_line_ends() -> None:
    file = b"# Ours.\r\nschema: 1\r\nenvironment: staging\r\nfollow: main  # by default\r\n"
    held = pinned(file, "r-" + "a" * 64)
    assert held == file.replace(b"follow: main", b"pin: r-" + b"a" * 64)
    assert pinned(held, "r-" + "b" * 64) == held.replace(b"a" * 64, b"b" * 64)


HOSTILE = [
    "slow\n\nRollback-To: r-" + "f" * 64,
    "slow\r\nRequested-By: bob",
    "slow\u2028Requested-By: bob",
    "slow\x85Requested-By: bob",
    "slow\x0bRequested-By: bob\x00",
    "slow\n---\nSigned-off-by: bob",
    "Requested-By: bob",
    "`x` <script>alert(1)</script> @team #7777 | [a](javascript:x) \u202e",
    "a" * 5000,
]


@pytest.mark.parametrize("reason", HOSTILE, ids=range(len(HOSTILE)))
def test_a_trailer_is_one_line_whatever_is_in_it(reason: str) -> None:
    said = with_trailers("Roll back", "", {"Rollback-To": "r-1", "Reason": reason, "Requested-By": "ann"})
    words = ["git", "interpret-trailers", "--parse"]
    read = subprocess.run(words, input=said, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.partition(": ")[0] for line in read] == ["Rollback-To", "Reason", "Requested-By"]
    assert (read[0], read[2]) == ("Rollback-To: r-1", "Requested-By: ann")
    assert len(read[1]) <= 310
    assert "\0" not in said


def test_nothing_in_a_reason_acts(office: Office) -> None:
    first, second = office.first, office.second
    assert office.rollback(reason="".join(HOSTILE[:-1])) == 0
    (pull,) = office.open
    found = trailers(office, office.branch(pull))
    assert list(found) == ["Rollback-To", "Rollback-From", "Reason", "Requested-By"]
    assert (found["Rollback-To"], found["Rollback-From"]) == (first.release, second.release)
    assert found["Requested-By"] == "ann"
    assert pull.body.rstrip().splitlines()[-1] == "Requested-By: ann"
    assert sum(line.startswith("Requested-By") for line in pull.body.splitlines()) == 1
    for act in ("<script", "](javascript", "@team", "#7777", "\u202e", "\x00"):
        assert act not in pull.body
