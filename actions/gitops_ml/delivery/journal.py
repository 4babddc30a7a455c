"""What a run writes down, decided on the newest facts: called again by the writer whenever somebody was faster."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from gitops_ml.delivery.deployment import Intent, Kind, Live, Observation, Outcome
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.targets.base import FencedError
from gitops_ml.delivery.typed import Run
from gitops_ml.delivery.world import Desired


@dataclass(frozen=True)
class Author:
    """Who is behind a deployment: the run, and the people of the merged pull request."""

    run: Run = field(default_factory=Run)
    by: str | None = None
    pull_request: int | None = None
    approvers: tuple[str, ...] = ()


def release_to_use(facts: Facts, built: Manifest) -> Manifest:
    """`built`, or the release that is recorded for its build key already: of two builds at once the first counts."""
    return facts.of_build(built.artifacts.build_key) or built


def start(
    facts: Facts, desired: Desired, release: str, kind: Kind, author: Author, now: dt.datetime
) -> Intent:
    """The intent of the next attempt; raises `FencedError` when a run that read a newer main has started already."""
    history = facts.history(desired.environment)
    if is_overtaken(facts, desired):
        raise FencedError(
            f"A run that read a newer main has started to deploy {desired.environment}; this one stops.",
            "Nothing has to be done: the newer run brings the environment to where main is.",
        )
    last = facts.last_healthy(desired.environment)
    attempts = [item.intent.attempt for item in history if item.intent.generation == desired.generation]
    return Intent(
        environment=desired.environment,
        generation=desired.generation,
        attempt=max(attempts, default=0) + 1,
        fence=desired.fence,
        kind=kind,
        release=release,
        previous=None if last is None else last.release,
        by=author.by,
        pull_request=author.pull_request,
        approvers=author.approvers,
        run=author.run,
        at=now,
    )


def is_overtaken(facts: Facts, desired: Desired) -> bool:
    """Whether a run that read a newer main has written its intent in the meantime."""
    history = facts.history(desired.environment)
    return bool(history) and history[-1].intent.fence > desired.fence


def finish(intent: Intent, live: Live, reason: str, now: dt.datetime) -> Outcome:
    """The outcome of `intent`: healthy only if the service itself says that it is this release and well."""
    healthy = live.healthy and live.release == intent.release
    return Outcome(
        environment=intent.environment,
        generation=intent.generation,
        attempt=intent.attempt,
        release=intent.release,
        healthy=healthy,
        digest=live.digest if live.release == intent.release else None,
        reason=reason,
        at=now,
    )


def observation(
    facts: Facts, environment: str, live: Live, reason: str, now: dt.datetime
) -> Observation | None:
    """What to write of `live`; None when it is what the environment said last."""
    known = facts.live(environment)
    if (known.release, known.digest, known.healthy) == (live.release, live.digest, live.healthy):
        return None
    seen, history = facts.observed.get(environment, ()), facts.history(environment)
    return Observation(
        environment=environment,
        number=seen[-1].number + 1 if seen else 1,
        after=history[-1].order if history else (0, 0),
        release=live.release,
        digest=live.digest,
        healthy=live.healthy,
        reason=reason,
        at=now,
    )
