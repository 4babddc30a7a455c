"""The decisions one by one, where a random history would come by too seldom."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import replace

import pytest
from gitops_ml.delivery import plan as plan_module
from gitops_ml.delivery.check import check, proven
from gitops_ml.delivery.deployment import Live, Observation
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.plan import plan
from gitops_ml.delivery.propose import propose
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.soak import occupancy

from tests.delivery.simulation import Simulation
from tests.delivery.truth import PIPELINES, WORKFLOW, manifest_of


def grown(index: int = 0) -> Simulation:
    """Two releases went all the way, and a third serves in every environment but the last."""
    found = Simulation(PIPELINES[index], in_place=False)
    found.build(1)
    for _ in range(2):
        found.ship()
    found.ship(all_the_way=False)
    return found


def newest(simulation: Simulation) -> Manifest:
    return list(simulation.facts.releases.values())[-1]


def outcome_with(simulation: Simulation, **changes: object) -> tuple[str, str]:
    """What production's rule says of staging's evidence after `changes` of its newest record."""
    manifest, pipeline = newest(simulation), simulation.pipeline
    records = simulation.facts.evidence["staging", manifest.release]
    content = records[-1].model_dump(by_alias=True) | changes
    records[-1] = Evidence.model_validate(content)  # type: ignore[index]
    found = proven(simulation.world(), pipeline.step("staging"), pipeline.step("production"), manifest)
    return found.outcome, found.why


@pytest.mark.parametrize(
    ("changes", "outcome", "why"),
    [
        ({}, "passed", "smoke, version"),
        ({"checks": {"version": True, "smoke": False}}, "failed", "failed in staging: smoke"),
        ({"checks": {"version": True}}, "waiting", "not checked in staging: smoke"),
        ({"digest": f"sha256:{5:064x}"}, "failed", "not the image of the release"),
        ({"eval_hash": "1" * 64}, "failed", "other evaluation data"),
        ({"policy": "1" * 64}, "waiting", "another policy"),
        ({"attempt": 77}, "waiting", "has no evidence"),
        ({"run": {"workflow": WORKFLOW.replace("main", "feature")}}, "waiting", "not trusted"),
        ({"run": {}}, "waiting", "no workflow, which is not trusted"),
        ({"at": dt.datetime(2030, 1, 1, tzinfo=dt.UTC)}, "waiting", "a clock is wrong"),
    ],
)
def test_evidence_counts_only_for_what_it_was_gathered_for(
    changes: dict[str, object], outcome: str, why: str
) -> None:
    said = outcome_with(grown(), **changes)
    assert said[0] == outcome
    assert why in said[1]


def test_evidence_gets_old() -> None:
    simulation = grown(2)
    assert outcome_with(simulation)[0] == "passed"
    simulation.tick(60 * 24 * 2 + 1)
    assert outcome_with(simulation) == ("waiting", "its evidence is older than 2 days, 0:00:00")


def test_unreadable_evidence_is_no_evidence_until_it_is_gathered_again() -> None:
    simulation = grown()
    release = newest(simulation).release
    simulation.failing.add(("staging", release))
    simulation.drift("staging")
    simulation.advance(simulation.start("staging", dt.timedelta()))
    simulation.corrupt("staging", release)
    # The older evidence passed; the newest, which can't be read, did not.
    assert check(simulation.world(), "production", release, "review")[2].outcome == "waiting"
    simulation.advance(simulation.start("staging", dt.timedelta()))
    assert check(simulation.world(), "production", release, "review")[2].outcome == "failed"


def test_forged_evidence_that_becomes_unreadable_takes_no_proof_away() -> None:
    """Shrunk from a history. The forged file belongs to no deployment, so what it said or not holds nothing up."""
    simulation = grown()
    release = newest(simulation).release
    simulation.forge("staging", release)
    simulation.corrupt("staging", release)
    assert plan(simulation.world(), "staging", simulation.targets["staging"]).action == "nothing"
    simulation.settle()


def test_forged_evidence_in_the_place_of_missing_one_is_asked_for_again() -> None:
    simulation = grown()
    release = newest(simulation).release
    simulation.drift("staging")
    simulation.advance(simulation.start("staging", dt.timedelta()), 4)
    simulation.runs.clear()  # the runner is lost before the evidence
    simulation.forge("staging", release)
    found = check(simulation.world(), "production", release, "review")[2]
    assert (found.outcome, "not trusted" in found.why) == ("waiting", True)
    assert plan(simulation.world(), "staging", simulation.targets["staging"]).action == "deploy"
    simulation.settle()


def test_a_file_whose_parts_do_not_belong_together_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = grown()
    old, new = simulation.healthy["production"][-2:]
    simulation.tear("production", old)
    simulation.targets["production"] = Live(old, simulation.facts.releases[old].artifacts.digest, True, 1)
    decision = plan(simulation.world(), "production", simulation.targets["production"])
    assert (decision.action, decision.release) == ("refuse", new)
    monkeypatch.setattr(plan_module, "is_intact", lambda *_: True)
    assert plan(simulation.world(), "production", simulation.targets["production"]).action == "deploy"


def test_an_older_release_that_never_served_meets_every_gate() -> None:
    simulation = Simulation(PIPELINES[0], in_place=False)
    simulation.build(1)
    simulation.ship()
    simulation.ship(all_the_way=False)
    skipped = newest(simulation).release
    simulation.ship()
    rules = [finding.rule for finding in check(simulation.world(), "production", skipped, "review")]
    assert "proven in staging" in rules
    served = simulation.healthy["production"][0]
    rules = [finding.rule for finding in check(simulation.world(), "production", served, "review")]
    assert rules == ["recorded", "not revoked", "way back"]


def test_soak_is_the_longest_time_without_a_break() -> None:
    simulation = grown(1)
    release = newest(simulation).release
    hour = dt.timedelta(hours=1)

    def served() -> dt.timedelta:
        return occupancy(simulation.facts, "staging", release, simulation.now)

    assert served() == 0 * hour
    simulation.tick(60)
    assert served() == hour
    simulation.sicken("staging", release)
    simulation.observe("staging")
    simulation.tick(600)
    assert served() == hour
    simulation.heal()
    simulation.observe("staging")
    simulation.tick(180)
    assert served() == 3 * hour
    simulation.ship(all_the_way=False)
    simulation.tick(600)
    assert served() == 3 * hour


def test_a_clock_that_goes_back_voids_a_soak() -> None:
    simulation = grown(1)
    release = newest(simulation).release
    simulation.tick(600)
    early = simulation.now - dt.timedelta(hours=20)
    simulation.sicken("staging", release)
    simulation.observe("staging")
    last = simulation.facts.observed["staging"][-1]
    simulation.facts.observed["staging"][-1] = last.model_copy(update={"at": early})  # type: ignore[index]
    assert isinstance(last, Observation)
    assert occupancy(simulation.facts, "staging", release, simulation.now) == dt.timedelta()


def test_a_starving_soak_says_how_to_hold_staging() -> None:
    simulation = grown(1)
    found = propose(simulation.world(), "production")
    assert found.release is None
    assert f"pin: {newest(simulation).release}" in found.hint
    simulation.tick(180)
    assert propose(simulation.world(), "production").release == newest(simulation).release


def test_equal_parts_are_one_release_and_any_other_part_is_another() -> None:
    artifacts = manifest_of(1, 1, 1).artifacts
    assert release_id(artifacts) == release_id(Artifacts.model_validate(artifacts.model_dump()))
    for name, value in artifacts.model_dump().items():
        other = artifacts.model_copy(update={name: value[:-1] + ("1" if value[-1] != "1" else "2")})
        assert release_id(other) != release_id(artifacts), name
    text = json.dumps(artifacts.model_dump(), sort_keys=True).replace(": ", ":").replace(", ", ",")
    assert release_id(artifacts) == "r-" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("image", ["ghcr.io/octo/churn:latest", "churn", "ghcr.io/octo/churn@sha256:abc"])
def test_an_image_is_named_by_its_digest(image: str) -> None:
    content = manifest_of(1, 1, 1).artifacts.model_dump() | {"image": image}
    with pytest.raises(ValueError, match="image"):
        Artifacts.model_validate(content)


def test_a_lost_target_is_brought_back_even_in_a_freeze() -> None:
    simulation = grown(2)
    simulation.tick(60 * 24)
    assert (
        check(simulation.world(), "production", newest(simulation).release, "review")[-2].outcome == "waiting"
    )
    decision = plan(simulation.world(), "production", Live())
    assert (decision.action, decision.release) == ("deploy", simulation.files["production"])


def test_a_newer_deployment_at_the_target_stops_an_older_run() -> None:
    simulation = grown()
    live = replace(simulation.targets["production"], fence=10_000)
    assert plan(simulation.world(), "production", live).action == "refuse"
