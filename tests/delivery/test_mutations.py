"""Each promise's code is broken in one way, and the random histories have to notice: they are able to fail.

A mutation replaces named functions of the decisions while the histories run; the first history that fails has to
name one of the promises given. What random histories meet too seldom is held in test_decisions.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from gitops_ml.delivery import check, journal, plan, propose, status, trace, world
from gitops_ml.delivery.check import Finding
from gitops_ml.delivery.deployment import Deployment, Intent, Live, Outcome
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Step
from gitops_ml.delivery.plan import Decision
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.revoked import Revoked
from gitops_ml.delivery.world import Desired, Review, World

from tests.delivery import machine

FEW = 10_000
Replacement = tuple[Any, str, Callable[..., Any]]


class Mutation:
    """What is replaced by what, and the promises, as a pattern, of which the first broken history names one."""

    def __init__(self, name: str, promises: str, *replaced: Replacement) -> None:
        self.name, self.promises, self.replaced = name, promises, replaced


def passes(*_: object) -> Finding:
    return Finding("mutated", "passed", "")


def yes(*_: object) -> bool:
    return True


def no(*_: object) -> bool:
    return False


def nothing(*_: object) -> None:
    return None


_proven, _finish, _check = check.proven, journal.finish, check.check


def without_order(
    view: World, environment: str, release: str, stage: check.Stage, review: Review | None = None
) -> list[Finding]:
    found = _check(view, environment, release, stage, review)
    return [finding for finding in found if not finding.rule.startswith("proven")]


def no_evidence_passes(view: World, earlier: Step, step: Step, manifest: Manifest) -> Finding:
    found = _proven(view, earlier, step, manifest)
    return passes() if "no evidence" in found.why else found


def any_evidence(view: World, environment: str, release: str) -> list[object]:
    return list(view.facts.evidence.get((environment, release), ()))


def only_if_head_is_built(keys: Iterable[str], facts: Facts, revoked: Revoked) -> str | None:
    found = facts.of_build(next(iter(keys)))
    return found.release if found and revoked.reason(found.release) is None else None


def same_name_is_enough(live: Live, manifest: Manifest) -> bool:
    return live.release == manifest.release and live.healthy


def an_intent_is_a_try(view: World, desired: Desired) -> bool:
    return any(
        item.release == desired.release and not item.healthy and item.intent.generation == desired.generation
        for item in view.facts.history(desired.environment)[-1:]
    )


def done_when_it_serves(view: World, desired: Desired, manifest: Manifest, asked: bool) -> Decision:
    return Decision("nothing", "", manifest.release)


def deploy_anyway(view: World, desired: Desired, manifest: Manifest, asked: bool) -> Decision:
    return Decision("deploy", "", manifest.release)


def last_of_any_health(facts: Facts, environment: str, other_than: Iterable[str] = ()) -> Deployment | None:
    left_out = frozenset(other_than)
    return next((item for item in reversed(facts.history(environment)) if item.release not in left_out), None)


def back_to_any_that_served(view: World, environment: str, release: str) -> bool:
    return view.facts.served(environment, release)


def healthy_anyway(intent: Intent, live: Live, reason: str, now: dt.datetime) -> Outcome:
    return _finish(intent, Live(intent.release, live.digest or f"sha256:{0:064x}", True), reason, now)


def in_sync(view: World, desired: Desired) -> str:
    return "in sync"


def last_intent_is_live(facts: Facts, environment: str) -> Live:
    history = facts.history(environment)
    made = facts.releases[history[-1].release].artifacts if history else None
    return Live(history[-1].release, made.digest, True, 0) if made else Live()


MUTATIONS = [
    Mutation(
        "two builds of one source make two releases",
        "I1:|I12:",
        (journal, "release_to_use", lambda _, built: built),
    ),
    Mutation("the digest is not compared", "I2:", (plan, "is_confirmed", same_name_is_enough)),
    Mutation(
        "environments have no order",
        "I5:|I6:",
        (plan, "check", without_order),
        (check, "check", without_order),
        (propose, "proven", passes),
    ),
    Mutation(
        "missing evidence passes",
        "I5:|I6:",
        (check, "proven", no_evidence_passes),
        (propose, "proven", no_evidence_passes),
    ),
    Mutation(
        "anybody's evidence counts",
        "I5:|I6:|I14:|I15:",  # I14 where the forged evidence has expired and is the newest for ever
        (check, "bound", any_evidence),
        (check, "_void", nothing),
    ),
    Mutation("revocation is not seen", "I8:|I12:|I19:|I23:", (Revoked, "reason", nothing)),
    Mutation("a freeze is not seen", "I8: frozen", (check, "open_now", passes)),
    Mutation("soak is not asked for", "I9:", (check, "soaked", passes), (propose, "soaked", passes)),
    Mutation(
        "nothing is deployed unless main's head is built", "I12:", (world, "followed", only_if_head_is_built)
    ),
    Mutation(
        "a run that read an old main goes on", "I13:", (plan, "is_stale", no), (journal, "is_overtaken", no)
    ),
    Mutation("what serves is deployed again", "I14:", (plan, "_prove", deploy_anyway)),
    Mutation(
        "a run that died counts as a failure", "I12:|I14:|I15:|I17:", (plan, "has_failed", an_intent_is_a_try)
    ),
    Mutation("what serves needs no outcome and no proof", "I15:", (plan, "_prove", done_when_it_serves)),
    Mutation("a move of an environment builds", "I1:|I12:|I16:", (Facts, "of_build", nothing)),
    Mutation("what never served is restored", "I17:", (Facts, "last_healthy", last_of_any_health)),
    Mutation("what was left is proposed again", "I18:", (propose, "left", lambda *_: frozenset())),
    Mutation("the way back meets every gate", "I2:|I12:|I19:", (check, "is_return", no)),
    Mutation(
        "forward again counts as a way back", "I6:|I8:|I20:", (check, "is_return", back_to_any_that_served)
    ),
    Mutation("who asks may approve", "I20:", (check, "approved", passes)),
    Mutation("the model leads nowhere", "I22:", (trace, "_matches", no)),
    Mutation("an outcome is healthy whatever the service says", "I23:", (journal, "finish", healthy_anyway)),
    Mutation("status says in sync", "I23:", (status, "_state", in_sync)),
    Mutation("an intent is shown as live", "I22:|I23:", (Facts, "live", last_intent_is_live)),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_histories_notice_that(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, what, instead in mutation.replaced:
        assert hasattr(where, what)
        monkeypatch.setattr(where, what, instead)
    with pytest.raises(AssertionError, match=mutation.promises):
        machine.run(FEW)
