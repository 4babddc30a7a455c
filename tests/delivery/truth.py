"""A repository, its environments and its runners in memory: everything around the decisions, and the truth about it.

The decisions see main and the records; this also knows what really happened. Every promise of delivery is an
assertion named I1 to I23, made from that knowledge and not from what the decisions said.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from gitops_ml.delivery import plan, world
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Pipeline, Step
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.revoked import Revoked
from gitops_ml.delivery.timetable import Freeze
from gitops_ml.delivery.typed import Run

START = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
FROZEN = frozenset({dt.date(2026, 3, 3), dt.date(2026, 3, 4)})
SKEW = dt.timedelta(minutes=3)
# Two clocks can be wrong in opposite directions; within this much of a limit either answer is right.
MARGIN = 3 * SKEW
WORKFLOW = ".github/workflows/deliver.yml@refs/heads/main"
CHECKS = ("smoke", "version")
PIPELINES = (
    Pipeline(
        schema=1,
        environments=(Step(name="staging", follow=True), Step(name="production", evidence=CHECKS)),
    ),
    Pipeline(
        schema=1,
        environments=(
            Step(name="dev", follow=True),
            Step(name="staging", follow=True, evidence=CHECKS),
            Step(name="production", evidence=CHECKS, soak="2h", four_eyes=True),
        ),
    ),
    Pipeline(
        schema=1,
        environments=(
            Step(name="staging", follow=True),
            Step(name="qa", evidence=CHECKS),
            Step(
                name="production",
                evidence=CHECKS,
                max_age="2d",
                freeze=tuple(
                    Freeze.model_validate({"from": str(day), "to": str(day)}) for day in sorted(FROZEN)
                ),
            ),
        ),
    ),
)
covered: Counter[str] = Counter()


@cache
def manifest_of(tree: int, build: int, sequence: int) -> Manifest:
    """The release of build number `build` of the source `tree`: two builds of one tree differ in their image."""
    artifacts = Artifacts(
        commit=f"{sequence:040x}",
        build_key=f"{tree:064x}",
        image=f"ghcr.io/octo/churn@sha256:{tree * 1000 + build:064x}",
        model=f"{tree:064x}",
        data=f"{0:064x}",
        run=f"run-{tree}",
        contract=f"{0:064x}",
    )
    return Manifest(
        schema=1,
        release=release_id(artifacts),
        artifacts=artifacts,
        sequence=sequence,
        eval_hash="0" * 64,
        at=START,
    )


@dataclass
class Deploying:
    """One run of the deploy workflow: what it read when it started, and how far it got."""

    environment: str
    desired: world.Desired
    revoked: Revoked
    skew: dt.timedelta
    asked: bool = False
    stage: Literal["read", "intent", "apply", "outcome", "evidence", "over"] = "read"
    decision: plan.Decision | None = None
    index: int = -1
    rounds: int = 0


@dataclass(frozen=True)
class PullRequest:
    environment: str
    base: str | None
    release: str
    approver: str


@dataclass
class Truth:
    """What main says, what was recorded, and what is really the case."""

    pipeline: Pipeline
    in_place: bool  # the target stops the old release before the new one is healthy
    now: dt.datetime = START
    trees: list[int] = field(default_factory=lambda: [0])
    revoked: Revoked = field(default_factory=lambda: Revoked(schema=1))
    open: list[PullRequest] = field(default_factory=list)
    runs: dict[str, Deploying] = field(default_factory=dict)
    zombies: list[Deploying] = field(default_factory=list)
    sick: set[tuple[str, str]] = field(default_factory=set)
    failing: set[tuple[str, str]] = field(default_factory=set)  # serves, but does not pass its smoke check
    skewed: bool = False

    def __post_init__(self) -> None:
        names = self.pipeline.names
        self.promoted = [step.name for step in self.pipeline.environments if not step.follow]
        self.files: dict[str, str | None] = dict.fromkeys(names)  # for those that follow main: the pin
        self.history: dict[str, list[str | None]] = {name: [None] for name in names}
        self.reviews: dict[str, world.Review | None] = dict.fromkeys(names)
        self.targets: dict[str, Live] = {name: Live() for name in names}
        self.old: dict[str, list[tuple[world.Desired, Revoked]]] = {name: [] for name in names}
        self.facts = Facts(
            releases={},
            deployments={name: [] for name in names},
            evidence=defaultdict(list),
            observed={name: [] for name in names},
        )
        self.healthy: dict[str, list[str]] = {name: [] for name in names}
        self.proofs: dict[tuple[str, str], tuple[bool, str, dt.datetime]] = {}
        self.since: dict[str, tuple[str, dt.datetime] | None] = dict.fromkeys(names)
        self.longest: dict[tuple[str, str], dt.timedelta] = defaultdict(dt.timedelta)
        self.applied_fence: dict[str, int] = dict.fromkeys(names, 0)
        self.torn: dict[str, str] = {}  # environment to the release whose artifacts its file names wrongly
        self.left: dict[str, set[str]] = {name: set() for name in names}
        self.revoked_at: dict[str, int] = {}
        self.builds: Counter[int] = Counter()

    def desired(self, name: str) -> world.Desired:
        generation, fence = len(self.history[name]), len(self.trees)
        if name in self.promoted:
            wanted = self.files[name]
            made = self.facts.releases[self.torn.get(name, wanted)].artifacts if wanted else None
            return world.Desired(name, wanted, generation, fence, made, tuple(self.history[name]))
        if self.files[name] is not None:
            return world.Desired(name, self.files[name], generation, fence, pinned=True)
        keys = (f"{tree:064x}" for tree in reversed(self.trees))
        return world.Desired(name, world.followed(keys, self.facts, self.revoked), generation, fence)

    def world(self, skew: dt.timedelta = dt.timedelta()) -> world.World:
        desired = {name: self.desired(name) for name in self.pipeline.names}
        return world.World(self.pipeline, self.revoked, self.facts, self.now + skew, desired)

    def wanted(self, name: str) -> str | None:
        """What should run, worked out again: the pin, the promoted release, or the newest one that may run."""
        if name in self.promoted or self.files[name] is not None:
            return self.files[name]
        by_tree = {int(item.artifacts.build_key, 16): item.release for item in self.facts.releases.values()}
        for tree in reversed(self.trees):
            if tree in by_tree and by_tree[tree] not in self.revoked_at:
                return by_tree[tree]
        return None

    def before(self, name: str) -> tuple[Step, ...]:
        return self.pipeline.environments[: self.pipeline.names.index(name)]

    def sequence(self, release: str | None) -> int:
        return self.facts.releases[release].sequence if release else 0

    def commit(self, tree: int) -> None:
        for name in self.pipeline.names:
            self.old[name].append((self.desired(name), self.revoked))
        self.trees.append(tree)

    def obstacle(self, name: str, release: str, now: dt.datetime, slack: dt.timedelta) -> str | None:
        """Which promise breaks if `release` enters `name`; None for a way back and for one that met every gate."""
        if release in self.healthy[name] and self.sequence(release) <= self.sequence(self.healthy[name][-1]):
            return None
        step = self.pipeline.step(name)
        for earlier in self.before(name):
            if release not in self.healthy[earlier.name]:
                return f"I5: {name} skips {earlier.name}"
            if not self.proven(earlier.name, release, name, now, -slack):
                return f"I6: no valid proof in {earlier.name}"
        if step.soak and self.soak(self.before(name)[-1].name, release) < step.soak + slack:
            return "I9: not soaked"
        if step.freeze and now.date() in FROZEN:
            return "I8: frozen"
        review = self.reviews[name]
        if step.four_eyes and (review is None or not review.approvers - {review.author}):
            return "I20: proposer and approver are one"
        return None

    def proven(self, earlier: str, release: str, name: str, now: dt.datetime, slack: dt.timedelta) -> bool:
        passed, digest, at = self.proofs.get((earlier, release), (False, "", now))
        age = self.pipeline.step(name).max_age
        needs_smoke = "smoke" in self.pipeline.step(name).evidence
        fresh = age is None or now - at <= age + slack
        return (
            (passed or not needs_smoke) and digest == self.facts.releases[release].artifacts.digest and fresh
        )

    def soak(self, name: str, release: str) -> dt.timedelta:
        running = self.since[name]
        current = self.now - running[1] if running and running[0] == release else dt.timedelta()
        return max(current, self.longest[name, release])

    def break_soak(self, name: str) -> None:
        if (running := self.since[name]) is not None:
            key = (name, running[0])
            self.longest[key] = max(self.longest[key], self.now - running[1])
            self.since[name] = None

    def record(
        self,
        name: str,
        release: str,
        order: tuple[int, int],
        digest: str,
        checks: dict[str, bool],
        run: Run,
        at: dt.datetime,
    ) -> None:
        record = Evidence(
            environment=name,
            release=release,
            generation=order[0],
            attempt=order[1],
            digest=digest,
            checks=checks,
            policy=self.pipeline.policy(name),
            eval_hash="0" * 64,
            run=run,
            at=at,
        )
        records = self.facts.evidence[name, release]
        records.append(record)  # type: ignore[attr-defined]
        records.sort(key=lambda one: (one.generation, one.attempt))  # type: ignore[attr-defined]
