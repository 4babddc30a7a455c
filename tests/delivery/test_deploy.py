"""The deploy loop on a real repository: what it applies, what it writes down, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops_ml.delivery.deploying import deploy, look
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.merged import Merged
from gitops_ml.delivery.typed import Run
from gitops_ml.delivery.world import Review
from gitops_ml.errors import UserError

from tests.delivery.places import Place, desk, run, state, tip
from tests.delivery.repositories import PIPELINE, commit, made, push
from tests.delivery.shop import Shop
from tests.delivery.truth import WORKFLOW


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "staging.json")


def test_what_main_says_is_applied_proven_and_then_left_alone(shop: Shop, place: Place) -> None:
    release = shop.release()
    report = run(shop, place)
    assert (report.action, report.is_red, report.is_healthy("staging")) == ("deploy", False, True)
    assert report.last.decision.action == "nothing"
    facts = shop.world().facts
    (deployment,) = facts.history("staging")
    assert deployment.healthy
    assert deployment.intent.fence == shop.count()
    (evidence,) = facts.evidence["staging", release.release]
    assert evidence.checks == {"version": True, "smoke": True}
    assert (evidence.digest, evidence.run.workflow) == (release.artifacts.digest, WORKFLOW)
    assert state(shop) == "in sync"
    before = tip(shop)
    again = run(shop, place)
    assert (again.action, again.attempts, again.is_red) == ("nothing", (), False)
    assert (tip(shop), place.applied) == (before, [release.release])


def test_a_sick_release_leaves_what_served_and_is_not_tried_again_until_someone_asks(
    shop: Shop, place: Place
) -> None:
    first = shop.release()
    run(shop, place)
    second = shop.release()
    place.sick.add(second.release)
    report = run(shop, place)
    assert (report.action, report.is_red, report.is_healthy("staging")) == ("deploy", True, False)
    assert place.live().release == first.release
    (_, failed) = shop.world().facts.history("staging")
    assert failed.outcome is not None
    assert failed.outcome.reason == "its log's last line: out of memory"
    assert ("staging", second.release) not in shop.world().facts.evidence
    before = tip(shop)
    for _ in range(2):
        later = run(shop, place)
        assert (later.action, later.is_red, later.attempts) == ("refuse", True, ())
    assert (tip(shop), place.applied) == (before, [first.release, second.release])
    still_sick = run(shop, place, asked=True)
    assert (len(still_sick.attempts), still_sick.is_red) == (1, True)
    place.sick.clear()
    asked = run(shop, place, asked=True)
    assert (asked.action, asked.is_red, place.live().release) == ("deploy", False, second.release)
    assert state(shop) == "in sync"


def test_where_a_sick_release_took_the_place_of_the_old_one_the_old_one_comes_back(
    shop: Shop, place: Place
) -> None:
    first = shop.release()
    run(shop, place)
    second = shop.release()
    place.sick.add(second.release)
    place.in_place = True
    report = run(shop, place)
    assert [one.action for one in report.attempts] == ["deploy", "roll back"]
    assert (report.action, report.is_red) == ("roll back", True)
    assert (place.live().release, place.live().healthy) == (first.release, True)
    kinds = [item.intent.kind for item in shop.world().facts.history("staging")]
    assert kinds == ["deploy", "deploy", "restore"]
    before = tip(shop)
    assert run(shop, place).is_red
    assert tip(shop) == before


def test_a_release_that_fails_its_checks_serves_but_goes_no_further(shop: Shop, place: Place) -> None:
    changed = PIPELINE.replace("evidence: [version]", "evidence: [version, smoke]")
    commit(shop.clone, "Ask for more", environments__pipeline_yaml=changed)
    push(shop.clone)
    release = shop.release()
    place.failing.add(release.release)
    report = run(shop, place)
    assert (report.action, report.is_red, report.is_healthy("staging")) == ("deploy", True, True)
    assert "serves and stays, but goes no further: failed in staging: smoke" in report.last.decision.reason
    assert shop.world().facts.evidence["staging", release.release][-1].checks["smoke"] is False
    assert run(shop, place).attempts == ()


def test_what_was_changed_by_hand_is_written_down_and_brought_back(shop: Shop, place: Place) -> None:
    release = shop.release()
    run(shop, place)
    live = place.live()
    place.put(Live("r-" + "9" * 64, "sha256:" + "9" * 64, True, live.fence))
    report = run(shop, place)
    assert (report.action, place.live().release) == ("deploy", release.release)
    (seen,) = shop.world().facts.observed["staging"]
    assert (seen.release, seen.after) == ("r-" + "9" * 64, (1, 1))
    assert state(shop) == "in sync"
    # Where nothing is to be done it is written down too, once.
    place.sick.add(release.release)
    place.put(Live(release.release, live.digest, False, live.fence))
    assert run(shop, place).is_red
    assert state(shop) == "unhealthy"
    place.put(Live("r-" + "8" * 64, "sha256:" + "8" * 64, True, live.fence))
    left_alone = run(shop, place)
    assert (left_alone.action, left_alone.attempts) == ("refuse", ())
    assert shop.world().facts.observed["staging"][-1].release == "r-" + "8" * 64
    before = tip(shop)
    assert run(shop, place).is_red
    assert tip(shop) == before
    place.put(Live(None, "sha256:" + "7" * 64, False, live.fence))
    assert run(shop, place).is_red
    assert state(shop) == "drifted"


def test_an_image_from_another_repository_is_refused(shop: Shop, place: Place) -> None:
    shop.release()
    for line, said in (("image: ghcr.io/octo/other\n", "allows ghcr.io/octo/other"), ("", "allows none")):
        changed = PIPELINE.replace("image: ghcr.io/octo/churn\n", line)
        commit(shop.clone, "Other images", environments__pipeline_yaml=changed)
        push(shop.clone)
        report = run(shop, place)
        assert (report.action, report.is_red, place.applied) == ("refuse", True, [])
        assert said in report.last.decision.reason
        assert shop.world().facts.history("staging") == ()


def test_on_a_laptop_one_deployment_is_made_and_its_evidence_does_not_count(shop: Shop, place: Place) -> None:
    shop.release()
    report = deploy(desk(shop, place, run=Run()))
    assert (len(report.attempts), report.is_red, report.is_healthy("staging")) == (1, False, True)
    assert "no workflow, which is not trusted" in report.last.decision.reason


def test_an_environment_that_main_does_not_name_is_refused_by_name(shop: Shop, place: Place) -> None:
    with pytest.raises(UserError, match=r"'qa' is no environment of") as caught:
        deploy(desk(shop, place, environment="qa"))
    assert caught.value.fix == "These are: staging, production."


def test_looking_changes_nothing(shop: Shop, place: Place) -> None:
    shop.release()
    before = tip(shop)
    assert look(desk(shop, place)).decision.action == "deploy"
    assert (tip(shop), place.applied) == (before, [])


@pytest.mark.parametrize(
    ("approvers", "action"), [(frozenset({"ben"}), "deploy"), (frozenset({"ann"}), "refuse"), (None, "wait")]
)
def test_four_eyes_are_asked_for_before_anything_is_applied(
    shop: Shop, place: Place, approvers: frozenset[str] | None, action: str
) -> None:
    changed = PIPELINE.replace("  - name: production\n", "  - name: production\n    four_eyes: true\n")
    commit(shop.clone, "Four eyes", environments__pipeline_yaml=changed)
    push(shop.clone)
    release = shop.release()
    assert run(shop, place).is_healthy("staging")
    shop.squash(shop.branch(release))
    merged = None if approvers is None else Merged(7, Review("ann", approvers))
    production = Place(place.file.with_name("production.json"))
    asked: list[str] = []
    at = desk(
        shop,
        production,
        "production",
        review=lambda world, main: asked.append(main) or merged,  # type: ignore[func-returns-value]
    )
    report = deploy(at)
    assert report.action == action
    assert asked
    assert production.applied == ([release.release] if action == "deploy" else [])
    if action == "deploy":
        (deployment,) = shop.world().facts.history("production")
        assert (deployment.intent.by, deployment.intent.pull_request) == ("ann", 7)
        assert deployment.intent.approvers == ("ben",)


def test_a_manifest_that_main_does_not_agree_with_is_refused(shop: Shop, place: Place) -> None:
    unknown = made("e" * 40, "f" * 64, 99, 1)
    shop.release()
    run(shop, place)
    shop.squash(shop.branch(unknown))
    production = Place(place.file.with_name("production.json"))
    report = deploy(desk(shop, production, "production"))
    assert (report.action, report.is_red, production.applied) == ("refuse", True, [])
