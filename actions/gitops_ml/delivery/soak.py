"""Soak: for how long a release served an environment without a break."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from gitops_ml.delivery.deployment import Observation
from gitops_ml.delivery.facts import Facts

NOTHING = dt.timedelta()


def occupancy(facts: Facts, environment: str, release: str, now: dt.datetime) -> dt.timedelta:
    """The longest time for which `release` was healthy in `environment` without a break.

    It begins with a healthy outcome and ends with the next attempt of another release, an outcome or an observation
    that is not healthy, or `now`. Order comes from the records' places; where clocks contradict it, nothing counts.
    """
    longest, since, latest = NOTHING, None, None
    for at, serves in _events(facts, environment, release):
        if latest is not None and at < latest:
            since = at if since is not None else None  # this clock went back: what it measured so far is void
        latest = at if latest is None else max(latest, at)
        if serves and since is None:
            since = at
        elif not serves and since is not None:
            longest = max(longest, at - since)
            since = None
    if since is not None and latest is not None and now >= latest:
        longest = max(longest, now - since)
    return longest


def _events(facts: Facts, environment: str, release: str) -> Iterator[tuple[dt.datetime, bool]]:
    """When `release` was seen to serve (True) or not to (False), in order."""
    seen = list(facts.observed.get(environment, ()))
    for item in facts.history(environment):
        while seen and seen[0].after < item.order:
            yield _observed(seen.pop(0), release)
        if item.release != release:
            yield item.intent.at, False
        elif item.outcome is not None:
            yield item.outcome.at, item.outcome.healthy
    for observation in seen:
        yield _observed(observation, release)


def _observed(observation: Observation, release: str) -> tuple[dt.datetime, bool]:
    return observation.at, observation.healthy and observation.release == release
