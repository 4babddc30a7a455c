"""May a release enter an environment? Asked on the pull request, in the merge group, and again before it is applied."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.pipeline import Step
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.soak import occupancy
from gitops_ml.delivery.timetable import closed
from gitops_ml.delivery.world import Review, World

Stage = Literal["review", "apply"]
Outcome = Literal["passed", "waiting", "failed", "later"]

# Clocks of two runners differ by seconds; a record from further ahead says that one of them is wrong.
CLOCK_TOLERANCE = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Finding:
    """One rule: `waiting` may pass by itself later, `later` is judged before the release is applied."""

    rule: str
    outcome: Outcome
    why: str


def verdict(findings: Sequence[Finding]) -> Outcome:
    """`failed` before `waiting` before `passed`; no finding at all is `failed`."""
    outcomes = {finding.outcome for finding in findings}
    if not outcomes or "failed" in outcomes:
        return "failed"
    return "waiting" if "waiting" in outcomes else "passed"


def check(
    world: World, environment: str, release: str, stage: Stage, review: Review | None = None
) -> list[Finding]:
    """Every rule that `release` has to meet to enter `environment`; a way back meets fewer of them."""
    manifest = world.manifest(release)
    if manifest is None:
        return [Finding("recorded", "failed", f"{short(release)} has no readable manifest on deploy-state")]
    found = [
        Finding("recorded", "passed", f"built from {manifest.artifacts.commit[:7]}"),
        not_revoked(world, release),
    ]
    if is_return(world, environment, release):
        return [*found, Finding("way back", "passed", "it was healthy here before; no other rule applies")]
    earlier = world.pipeline.earlier(environment)
    found += [proven(world, step, world.step(environment), manifest) for step in earlier]
    return [
        *found,
        soaked(world, environment, release),
        open_now(world, environment),
        approved(world, environment, stage, review),
    ]


def is_return(world: World, environment: str, release: str) -> bool:
    """Whether `release` is a way back: healthy here before, and not newer than what was healthy here last."""
    last = world.facts.last_healthy(environment)
    if last is None or not world.facts.served(environment, release):
        return False
    return world.sequence(release) <= world.sequence(last.release)


def not_revoked(world: World, release: str) -> Finding:
    reason = world.revoked.reason(release)
    if reason is None:
        return Finding("not revoked", "passed", "it is not in revoked.yaml")
    return Finding("not revoked", "failed", f"revoked: {reason}")


def proven(world: World, earlier: Step, step: Step, manifest: Manifest) -> Finding:
    """Whether `earlier` holds valid evidence for everything that `step` asks; the newest evidence counts."""
    rule = f"proven in {earlier.name}"
    records = bound(world, earlier.name, manifest.release)
    if is_newest_unreadable(world, earlier.name, manifest.release, records):
        return Finding(rule, "waiting", f"its newest evidence in {earlier.name} is unreadable")
    if not records:
        return Finding(rule, "waiting", f"{short(manifest.release)} has no evidence in {earlier.name}")
    evidence = records[-1]
    void = _void(world, earlier, evidence) or _expired(world, step, evidence)
    if void is not None:
        return Finding(rule, "waiting", void)
    if evidence.digest != manifest.artifacts.digest:
        return Finding(rule, "failed", f"{earlier.name} ran {evidence.digest}, not the image of the release")
    if evidence.eval_hash != manifest.eval_hash:
        return Finding(rule, "failed", f"{earlier.name} was judged on other evaluation data")
    failed = [name for name in step.evidence if evidence.checks.get(name) is False]
    if failed:
        return Finding(rule, "failed", f"failed in {earlier.name}: {', '.join(failed)}")
    missing = [name for name in step.evidence if name not in evidence.checks]
    if missing:
        return Finding(rule, "waiting", f"not checked in {earlier.name}: {', '.join(missing)}")
    return Finding(rule, "passed", f"{', '.join(step.evidence)} at {evidence.at:%Y-%m-%d %H:%M}")


def bound(world: World, environment: str, release: str) -> list[Evidence]:
    """The evidence of `release` that belongs to a deployment that became healthy; any other proves nothing."""
    healthy = _healthy_orders(world, environment, release)
    records = world.facts.evidence.get((environment, release), ())
    return [record for record in records if (record.generation, record.attempt) in healthy]


def is_newest_unreadable(world: World, environment: str, release: str, records: Sequence[Evidence]) -> bool:
    """Whether a healthy deployment after those of `records` left evidence that cannot be read."""
    newest = (records[-1].generation, records[-1].attempt) if records else (0, 0)
    healthy = _healthy_orders(world, environment, release)
    places = world.facts.unreadable_evidence(environment, release)
    return any(place in healthy and place > newest for place in places)


def _healthy_orders(world: World, environment: str, release: str) -> set[tuple[int, int]]:
    history = world.facts.history(environment)
    return {item.order for item in history if item.healthy and item.release == release}


def _void(world: World, earlier: Step, evidence: Evidence) -> str | None:
    """Why `evidence` is not of the present policy and a trusted workflow."""
    if evidence.policy != world.pipeline.policy(earlier.name):
        return "its evidence was gathered under another policy; the next run of deliver proves it again"
    if evidence.run.workflow not in world.pipeline.trusted_workflows:
        return f"its evidence was written by {evidence.run.workflow or 'no workflow'}, which is not trusted"
    return None


def _expired(world: World, step: Step, evidence: Evidence) -> str | None:
    age = world.now - evidence.at
    if age < -CLOCK_TOLERANCE:
        return f"its evidence is from {evidence.at.isoformat()}, later than now: a clock is wrong"
    if step.max_age is not None and age > step.max_age:
        return f"its evidence is older than {step.max_age}"
    return None


def soaked(world: World, environment: str, release: str) -> Finding:
    """Whether `release` served the environment before this one for long enough without a break."""
    wanted = world.step(environment).soak
    earlier = world.pipeline.earlier(environment)
    if not wanted or not earlier:
        return Finding("soaked", "passed", "no soak is asked for")
    served = occupancy(world.facts, earlier[-1].name, release, world.now)
    said = f"served {earlier[-1].name} for {served} of {wanted}"
    return Finding("soaked", "passed" if served >= wanted else "waiting", said)


def open_now(world: World, environment: str) -> Finding:
    step = world.step(environment)
    why = closed(step.windows, step.freeze, world.now)
    return Finding("open", "passed" if why is None else "waiting", why or "changes may go in now")


def approved(world: World, environment: str, stage: Stage, review: Review | None) -> Finding:
    """Four eyes: someone approved who did not ask for it. Before the merge there may be no approval yet."""
    if not world.step(environment).four_eyes:
        return Finding("four eyes", "passed", "not asked for")
    if stage == "review":
        return Finding("four eyes", "later", "the merged pull request needs an approval by another person")
    if review is None:
        return Finding("four eyes", "waiting", "it is not known who approved the change")
    if not review.others:
        return Finding("four eyes", "failed", f"nobody but {review.author} approved the change")
    return Finding("four eyes", "passed", f"approved by {', '.join(sorted(review.others))}")
