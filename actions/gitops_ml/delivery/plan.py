"""What one environment should do now. Asked anew at every event, so lost, doubled and late events change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gitops_ml.delivery.check import Finding, check, proven, verdict
from gitops_ml.delivery.deployment import Deployment, Live
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.world import Desired, Review, World

Action = Literal["nothing", "deploy", "roll back", "refuse", "wait"]


@dataclass(frozen=True)
class Decision:
    """What to do with `release`. `refuse` is red until someone acts, `wait` passes by itself."""

    action: Action
    reason: str
    release: str | None = None
    findings: tuple[Finding, ...] = ()


def plan(
    world: World, environment: str, live: Live, review: Review | None = None, asked: bool = False
) -> Decision:
    """What `environment`, which says it runs `live`, should do now.

    `review` is of the pull request that made the present generation. `asked`: a person started this run in order to
    try a release again that failed here.
    """
    desired = world.desired[environment]
    if is_stale(world, desired, live):
        return Decision("refuse", "main has moved on since this run read it; a newer run decides")
    if desired.release is None:
        return _without_release(live)
    manifest = world.manifest(desired.release)
    if manifest is None or not is_intact(desired, manifest):
        why = f"{short(desired.release)} has no readable manifest on deploy-state that agrees with main"
        return Decision("refuse", why, desired.release)
    revoked = world.revoked.reason(desired.release)
    if revoked is not None:
        serving = " and serves: roll back" if live.release == desired.release else ""
        return Decision(
            "refuse", f"{short(desired.release)} is revoked ({revoked}){serving}", desired.release
        )
    if has_failed(world, desired) and not asked:
        return _after_failure(world, desired, live)
    if is_confirmed(live, manifest) and was_started(world, desired):
        return _prove(world, desired, manifest, asked)
    findings = tuple(check(world, environment, desired.release, "apply", review))
    outcome = verdict(findings)
    if outcome == "passed":
        return Decision("deploy", f"main asks for {short(desired.release)}", desired.release, findings)
    why = "; ".join(finding.why for finding in findings if finding.outcome == outcome)
    return Decision("refuse" if outcome == "failed" else "wait", why, desired.release, findings)


def is_stale(world: World, desired: Desired, live: Live) -> bool:
    """Fencing: whether something newer than this reading of main has been started or made live already."""
    started = (item.intent.fence for item in world.facts.history(desired.environment)[-1:])
    return desired.fence < max(live.fence, *started, 0)


def is_intact(desired: Desired, manifest: Manifest) -> bool:
    """Whether the file on main, where it names artifacts, names those of the manifest."""
    return desired.artifacts is None or desired.artifacts == manifest.artifacts


def is_confirmed(live: Live, manifest: Manifest) -> bool:
    """Whether the target itself says that it runs this very image and is healthy."""
    return live.release == manifest.release and live.digest == manifest.artifacts.digest and live.healthy


def was_started(world: World, desired: Desired) -> bool:
    """Whether the last attempt here was for this release: what runs got there by a decision, not by hand."""
    last = world.facts.history(desired.environment)[-1:]
    return bool(last) and last[0].release == desired.release


def _prove(world: World, desired: Desired, manifest: Manifest, asked: bool) -> Decision:
    """The release serves; without an outcome and valid evidence the same attempt is made again, which moves nothing."""
    name = short(manifest.release)
    if not world.facts.history(desired.environment)[-1].healthy:
        return Decision(
            "deploy", f"{name} serves, but the run that started it left no outcome", manifest.release
        )
    step = world.step(desired.environment)
    proof = proven(world, step, world.pipeline.own_proof(step.name), manifest)
    if proof.outcome == "waiting" or (proof.outcome == "failed" and asked):
        return Decision("deploy", f"{name} serves but is not proven: {proof.why}", manifest.release)
    if proof.outcome == "failed":
        return Decision(
            "refuse", f"{name} serves and stays, but goes no further: {proof.why}", manifest.release
        )
    return Decision("nothing", f"{name} serves and is proven", manifest.release)


def has_failed(world: World, desired: Desired) -> bool:
    """Whether the last attempt of this release at this generation ended unhealthy; a new generation starts afresh."""
    attempts = [item for item in _attempts(world, desired) if item.intent.kind == "deploy"]
    return bool(attempts) and attempts[-1].failed


def _attempts(world: World, desired: Desired) -> Iterable[Deployment]:
    return (
        item
        for item in world.facts.history(desired.environment)
        if item.release == desired.release and item.intent.generation == desired.generation
    )


def _without_release(live: Live) -> Decision:
    if live.release is None:
        return Decision("nothing", "no release has been promoted yet")
    return Decision("refuse", f"main names no release, but {short(live.release)} serves; it is left alone")


def _after_failure(world: World, desired: Desired, live: Live) -> Decision:
    """A release that could not become healthy: keep what serves, or bring back what served before it."""
    failed = f"{short(desired.release)} could not become healthy"
    if live.release not in (None, desired.release) and live.healthy:
        why = f"{failed}; {short(live.release)} keeps serving. Roll back, or ask for another try"
        return Decision("refuse", why, desired.release)
    left_out = {desired.release or "", *(entry.release for entry in world.revoked.revoked)}
    before = world.facts.last_healthy(desired.environment, other_than=left_out)
    if before is None:
        return Decision("refuse", f"{failed}, and nothing served before it", desired.release)
    if restore_failed(world, desired, before.release):
        why = f"{failed}, and neither could {short(before.release)}, which served before it"
        return Decision("refuse", why, desired.release)
    return Decision("roll back", f"{failed}; {short(before.release)} served before it", before.release)


def restore_failed(world: World, desired: Desired, release: str) -> bool:
    """Whether bringing back `release` at this generation was tried and failed; then a person has to look."""
    last = world.facts.history(desired.environment)[-1:]
    return bool(last) and last[0].intent.kind == "restore" and last[0].failed and last[0].release == release
