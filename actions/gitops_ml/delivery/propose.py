"""Should a promotion be proposed, and of which release? Automation never insists: what was left stays left."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from gitops_ml.delivery.check import Finding, is_return, not_revoked, proven, soaked, verdict
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.world import World


@dataclass(frozen=True)
class Proposal:
    """The release to propose for `environment`, or None and the reason."""

    environment: str
    release: str | None
    reason: str
    hint: str = ""


def propose(world: World, environment: str, asked: str | None = None) -> Proposal:
    """What the one open promotion pull request of `environment` should be about; None closes or opens nothing.

    `asked` is a release that a person wants: it may be one that was left, but it has to be proven all the same.
    """
    here = world.desired[environment].release
    if asked is not None:
        return _asked(world, environment, here, asked)
    stays = f"{environment} stays at {short(here)}"
    # Only what the environment before wants now: a release that main has taken back must not move on.
    manifest = world.manifest(world.desired[world.pipeline.earlier(environment)[-1].name].release)
    if manifest is None or manifest.sequence <= world.sequence(here):
        return Proposal(environment, None, f"{stays}: nothing newer is there")
    if manifest.sequence <= max((world.sequence(name) for name in left(world, environment)), default=0):
        why = f"{short(manifest.release)} is not newer than what was rolled back; make promote asks for it"
        return Proposal(environment, None, f"{stays}: {why}")
    findings = ready(world, environment, manifest)
    outcome = verdict(findings)
    hint = _starved(world, environment, manifest.release)
    if outcome != "passed":
        return Proposal(
            environment,
            None,
            f"{stays}: {short(manifest.release)} is not ready: {_first(findings, outcome)}",
            hint,
        )
    reason = f"{short(manifest.release)} is proven in every environment before {environment}"
    return Proposal(environment, manifest.release, reason)


def ready(world: World, environment: str, manifest: Manifest) -> list[Finding]:
    """The rules that have to hold before a release is proposed; the others are for the pull request itself."""
    found = [not_revoked(world, manifest.release)]
    step = world.step(environment)
    found += [proven(world, earlier, step, manifest) for earlier in world.pipeline.earlier(environment)]
    return [*found, soaked(world, environment, manifest.release)]


def left(world: World, environment: str) -> frozenset[str]:
    """The releases that `environment` was moved away from to an older one, and that nobody asked for since."""
    history = world.desired[environment].history
    last: dict[str, bool] = {}
    for release, after in pairwise(history):
        if release is not None and release != after:
            last[release] = world.sequence(after) < world.sequence(release)
    return frozenset(name for name, was_left in last.items() if was_left and name != history[-1])


def _asked(world: World, environment: str, here: str | None, asked: str) -> Proposal:
    manifest = world.manifest(asked)
    if manifest is None:
        return Proposal(environment, None, f"{short(asked)} has no readable manifest on deploy-state")
    if asked == here:
        return Proposal(environment, None, f"{environment} is at {short(asked)} already")
    if is_return(world, environment, asked):
        why = f"{short(asked)} served {environment} before, so going there is a rollback"
        return Proposal(
            environment, None, why, f'make rollback ENV={environment} TO={short(asked)} REASON="..."'
        )
    findings = ready(world, environment, manifest)
    outcome = verdict(findings)
    if outcome != "passed":
        return Proposal(environment, None, _first(findings, outcome), _starved(world, environment, asked))
    return Proposal(environment, asked, f"{short(asked)} was asked for")


def _first(findings: list[Finding], outcome: str) -> str:
    return next(finding.why for finding in findings if finding.outcome == outcome)


def _starved(world: World, environment: str, candidate: str) -> str:
    """A hint where frequent merges keep a soak from ever ending."""
    before = world.pipeline.earlier(environment)[-1]
    if not world.step(environment).soak or not before.follow or world.desired[before.name].pinned:
        return ""
    return (
        f"{before.name} follows main, and every merge starts its soak anew. If merges are frequent, hold it: "
        f"write `pin: {candidate}` instead of `follow: main` in environments/{before.name}.yaml."
    )
