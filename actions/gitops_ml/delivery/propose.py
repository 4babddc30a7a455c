"""Should a promotion be proposed, and of which release? Automation never insists: what was left stays left."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_ml.delivery.check import Finding, not_revoked, proven, soaked, verdict
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
    newest = max(world.sequence(here), *(world.sequence(name) for name in left(world, environment)), 0)
    waiting = ""
    for manifest in sorted(world.facts.releases.values(), key=lambda item: item.sequence, reverse=True):
        if manifest.sequence <= newest:
            break
        findings = ready(world, environment, manifest)
        outcome = verdict(findings)
        if outcome == "passed":
            reason = f"{short(manifest.release)} is proven in every environment before {environment}"
            return Proposal(environment, manifest.release, reason, _starved(world, environment, manifest))
        waiting = waiting or _first(findings, outcome)
    stays = f"{environment} stays at {short(here)}"
    return Proposal(
        environment,
        None,
        f"{stays}: {waiting}" if waiting else f"{stays}: nothing newer is built",
        _starved(world, environment, None),
    )


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
    for release, after in zip(history, history[1:], strict=False):
        if release is not None and release != after:
            last[release] = world.sequence(after) < world.sequence(release)
    return frozenset(name for name, was_left in last.items() if was_left and name != history[-1])


def _asked(world: World, environment: str, here: str | None, asked: str) -> Proposal:
    manifest = world.manifest(asked)
    if manifest is None:
        return Proposal(environment, None, f"{short(asked)} has no readable manifest on deploy-state")
    if asked == here:
        return Proposal(environment, None, f"{environment} is at {short(asked)} already")
    findings = ready(world, environment, manifest)
    outcome = verdict(findings)
    if outcome != "passed":
        return Proposal(environment, None, _first(findings, outcome), _starved(world, environment, manifest))
    return Proposal(environment, asked, f"{short(asked)} was asked for")


def _first(findings: list[Finding], outcome: str) -> str:
    return next(finding.why for finding in findings if finding.outcome == outcome)


def _starved(world: World, environment: str, manifest: Manifest | None) -> str:
    """A hint where frequent merges keep a soak from ever ending."""
    earlier = world.pipeline.earlier(environment)
    if not world.step(environment).soak or not earlier or not earlier[-1].follow:
        return ""
    desired = world.desired.get(earlier[-1].name)
    if desired is None or desired.pinned:
        return ""
    candidate = desired.release if manifest is None else manifest.release
    return (
        f"{earlier[-1].name} follows main, and every merge starts its soak anew. If merges are frequent, hold it: "
        f"write `pin: {candidate or 'r-...'}` instead of `follow: main` in environments/{earlier[-1].name}.yaml."
    )
