"""`gitops-ml status` says what is wrong, what helps, and what is on its way."""

from __future__ import annotations

import pytest
from gitops_ml.delivery.status import table

from tests.delivery.office import Office, named
from tests.delivery.repositories import PIPELINE


def said(office: Office) -> tuple[int, str]:
    code = office.run("status")
    return code, office.said[-1]


def test_a_promotion_on_its_way_is_named_instead_of_proposed_again(office: Office) -> None:
    candidate = office.candidate()
    assert (
        f"{named(candidate)} is proven in every environment before production, ready to promote"
        in said(office)[1]
    )
    office.promote()
    code, text = said(office)
    assert code == 0
    assert f"production: the promotion of {named(candidate)} is open" in text
    assert "ready to promote" not in text
    office.merge(office.open[0].number)
    code, text = said(office)
    assert code == 0  # deploying takes a while, and is no trouble yet
    assert f"production: main wants {named(candidate)}; the next run of deliver brings it there" in text
    office.shop.deploy("production")
    assert said(office)[1].endswith("\n\nproduction: nothing newer is there\n")


def test_what_could_not_become_healthy_is_said_with_the_way_back(office: Office) -> None:
    candidate = office.candidate()
    office.promote()
    office.merge(office.open[0].number)
    office.shop.deploy("production", healthy=False)
    code, text = said(office)
    assert code == 1
    assert (
        f"production: {named(candidate)} is not healthy; go back with: make rollback ENV=production" in text
    )
    office.rollback()
    assert f"production: a rollback to {named(office.second)} is open" in said(office)[1]


def test_a_revoked_release_that_serves_is_said_with_its_reason(office: Office) -> None:
    revoked = f"schema: 1\nrevoked:\n  - release: {office.second.release}\n    reason: leaks \\u202e\n"
    office.write("Revoke", environments__revoked_yaml=revoked)
    code, text = said(office)
    assert code == 1
    assert f"production: {named(office.second)} serves and is revoked (leaks" in text
    assert "\u202e" not in text


def test_a_soak_that_starves_is_explained(office: Office) -> None:
    office.write("Soak", environments__pipeline_yaml=PIPELINE + "    soak: 2h\n")
    candidate = office.candidate()
    assert f"write `pin: {candidate.release}`" in said(office)[1]


@pytest.mark.parametrize(
    "branch",
    [
        "promote/production/00000000",
        "promote/production",
        "promote/production/x/y",
        "promote/nowhere/00000000",
        "",
    ],
)
def test_branches_that_mean_nothing_are_passed_over(office: Office, branch: str) -> None:
    world = office.shop.world()
    assert table(world, [branch]) == table(world)
