"""The way back: to which release an environment returns."""

from __future__ import annotations

from gitops_ml.delivery.check import is_return
from gitops_ml.delivery.propose import Proposal
from gitops_ml.delivery.release import short
from gitops_ml.delivery.world import World


def way_back(world: World, environment: str, asked: str | None = None) -> Proposal:
    """The release to roll `environment` back to: `asked`, else the one that was healthy before the present one.

    None with the reason where there is none. It has to have been healthy here and not be revoked; nothing else counts.
    """
    here = world.desired[environment].release
    if asked is not None:
        return _asked(world, environment, here, asked)
    known = world.manifest(here) is not None
    revoked = []
    for item in reversed(world.facts.history(environment)):
        release = item.release
        older = not known or world.sequence(release) < world.sequence(here)
        if release == here or not item.healthy or not older or not is_return(world, environment, release):
            continue
        if world.manifest(release) is None:
            continue  # what it consists of is not known any more, so its file can't be written
        if world.revoked.reason(release) is None:
            return Proposal(environment, release, f"{short(release)} was healthy before {short(here)}")
        revoked.append(short(release))
    also = f" that is not revoked ({', '.join(dict.fromkeys(revoked))} is)" if revoked else ""
    return Proposal(environment, None, f"nothing was healthy in {environment} before {short(here)}{also}")


def _asked(world: World, environment: str, here: str | None, asked: str) -> Proposal:
    name = short(asked)
    if asked == here:
        return Proposal(environment, None, f"{environment} is at {name} already")
    revoked = world.revoked.reason(asked)
    if revoked is not None:
        return Proposal(environment, None, f"{name} is revoked: {revoked}")
    if not world.facts.served(environment, asked):
        return Proposal(
            environment,
            None,
            f"{name} was never healthy in {environment}",
            _forward(world, environment, name),
        )
    if not is_return(world, environment, asked):
        why = f"{name} is newer than what was healthy in {environment} last, so it is no way back"
        return Proposal(environment, None, why, _forward(world, environment, name))
    return Proposal(environment, asked, f"{name} was asked for")


def _forward(world: World, environment: str, name: str) -> str:
    """How to get there instead."""
    if world.step(environment).follow:
        return ""
    return f"Going forward is a promotion: make promote RELEASE={name}"
