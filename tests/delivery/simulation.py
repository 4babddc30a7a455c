"""A repository, its environments and its runners in memory: everything around the decisions, and the truth about it.

The decisions see main and the records; the simulation also knows what really happened. Every promise of delivery is
an assertion named I1 to I23, made from that knowledge and not from what the decisions said.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from gitops_ml.delivery import check, journal, plan, propose, status, world
from gitops_ml.delivery.deployment import Deployment, Live
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.paths import evidence_path
from gitops_ml.delivery.pipeline import Pipeline, Step
from gitops_ml.delivery.release import Artifacts, Manifest, release_id
from gitops_ml.delivery.revoked import Revocation, Revoked
from gitops_ml.delivery.timetable import Freeze
from gitops_ml.delivery.typed import Run
from gitops_ml.errors import UserError

START = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
FROZEN = frozenset({dt.date(2026, 3, 3), dt.date(2026, 3, 5)})
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
class Simulation:
    """The truth. Public methods are what people, runners and bad luck can do."""

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
        self.left: dict[str, set[str]] = {name: set() for name in names}
        self.revoked_at: dict[str, int] = {}
        self.builds: Counter[int] = Counter()

    # -- what main says -------------------------------------------------------------------------------------------

    def desired(self, name: str) -> world.Desired:
        generation, fence = len(self.history[name]), len(self.trees)
        if name in self.promoted:
            wanted = self.files[name]
            made = self.facts.releases[wanted].artifacts if wanted else None
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

    def sequence(self, release: str | None) -> int:
        return self.facts.releases[release].sequence if release else 0

    # -- what people do -------------------------------------------------------------------------------------------

    def commit(self, tree: int) -> None:
        for name in self.pipeline.names:
            self.old[name].append((self.desired(name), self.revoked))
        self.trees.append(tree)

    def merge(self, kind: str) -> None:
        """Merge code, documentation, or the revert of the last code."""
        trees = {"code": max(self.trees) + 1, "docs": self.trees[-1]}
        self.commit(trees.get(kind, self.trees[-2] if len(self.trees) > 1 else self.trees[-1]))
        covered[f"merge {kind}"] += 1

    def build(self, twins: int) -> None:
        """`twins` runs build main's tree at once; each writes on the newest facts."""
        tree, sequence = self.trees[-1], len(self.trees)
        for _ in range(twins):
            if self.facts.of_build(f"{tree:064x}") is None or twins > 1:
                self.builds[tree] += 1
                built = manifest_of(tree, self.builds[tree], sequence)
                used = journal.release_to_use(self.facts, built)
                self.facts.releases[used.release] = used  # type: ignore[index]
                covered["release built" if used is built else "release of another run re-used"] += 1
            else:
                covered["release re-used"] += 1
        keys = [item.artifacts.build_key for item in self.facts.releases.values()]
        assert len(keys) == len(set(keys)), "I1: one source was released twice"

    def move(self, name: str, release: str | None, review: world.Review, title: str) -> None:
        """Merge a change of one environment's file."""
        before, releases = self.files[name], len(self.facts.releases)
        self.commit(self.trees[-1])
        self.files[name] = release
        self.history[name].append(release)
        self.reviews[name] = review
        if before is not None and name in self.promoted:
            if self.sequence(release) < self.sequence(before):
                self.left[name].add(before)
            else:
                self.left[name].discard(before)
        if release is not None:
            self.left[name].discard(release)
        self.build(1)
        assert len(self.facts.releases) == releases or self.builds[self.trees[-1]] == 1, (
            "I16: a move built something"
        )
        covered[title] += 1

    def propose(self, name: str, asked: str | None, approver: str) -> None:
        """A promotion is proposed, by automation or because a person asked, and checked on its pull request."""
        view = self.world()
        found = propose.propose(view, name, asked)
        if found.release is None:
            covered["no proposal"] += 1
            return
        here, before = self.files[name], self.pipeline.earlier(name)
        if asked is None:
            assert found.release not in self.left[name], "I18: a release that was left is proposed again"
            assert self.sequence(found.release) > self.sequence(here), "I18: an older release is proposed"
            assert found.release == self.wanted(before[-1].name), "I18: what main took back is proposed"
        assert found.release not in self.revoked_at, "I8: a revoked release is proposed"
        for step in before:
            assert self.proven(step.name, found.release, name, self.now, MARGIN), "I6: proposed without proof"
        again = propose.propose(view, name, asked)
        assert again == found, "I14: the same world is proposed differently"
        covered["proposed" if asked is None else "asked for"] += 1
        if check.verdict(check.check(view, name, found.release, "review")) == "passed":
            self.open.append(PullRequest(name, here, found.release, approver))
        else:
            covered["promotion check is red"] += 1

    def ship(self) -> None:
        """One merge goes through every environment without a hitch."""
        self.merge("code")
        self.build(1)
        for name in self.pipeline.names:
            if name in self.promoted:
                self.propose(name, None, "ben")
                self.merge_promotion(0)
            self.advance(self.start(name, dt.timedelta()))
            self.tick(60 * self.pipeline.step(self.pipeline.names[-1]).soak.seconds // 1800)

    def merge_promotion(self, index: int) -> None:
        request = self.open.pop(index % len(self.open))
        if self.files[request.environment] != request.base:
            covered["promotion conflicts"] += 1
            return
        review = world.Review("ann", frozenset({request.approver}))
        self.move(request.environment, request.release, review, "promotion merged")

    def roll_back(self, name: str, depth: int) -> None:
        """Merge the way back to a release that was healthy here; no gate but revocation may stand in it."""
        here = self.files[name]
        older = [one for one in dict.fromkeys(self.healthy[name]) if self.sequence(one) < self.sequence(here)]
        if not older:
            return
        release = older[-1 - depth % len(older)]
        findings = check.check(self.world(), name, release, "review")
        passed = check.verdict(findings) == "passed"
        newest = self.sequence(self.healthy[name][-1])
        if self.sequence(release) <= newest:
            assert passed == (release not in self.revoked_at), (
                "I19: the way back is blocked, or leads to a revoked one"
            )
        if passed:
            self.move(name, release, world.Review("ann"), "rolled back")
        else:
            covered["rollback check is red"] += 1

    def pin(self, name: str, release: str | None) -> None:
        if name not in self.promoted and self.files[name] != release:
            self.move(name, release, world.Review("ann"), "pinned" if release else "follows again")

    def revoke(self, release: str) -> None:
        if release in self.revoked_at:
            return
        self.commit(self.trees[-1])
        self.revoked = Revoked(
            schema=1, revoked=(*self.revoked.revoked, Revocation(release=release, reason="leaks"))
        )
        self.revoked_at[release] = len(self.trees)
        covered["revoked"] += 1

    # -- what befalls environments --------------------------------------------------------------------------------

    def tick(self, minutes: int) -> None:
        self.now += dt.timedelta(minutes=minutes)
        covered["time passes"] += 1

    def sicken(self, name: str, release: str) -> None:
        self.sick.add((name, release))
        if self.targets[name].release == release:
            self.targets[name] = replace(self.targets[name], healthy=False)
        covered["release sickens"] += 1

    def heal(self) -> None:
        self.sick.clear()
        self.failing.clear()
        for name, live in self.targets.items():
            self.targets[name] = replace(live, healthy=live.release is not None)
        covered["all heal"] += 1

    def drift(self, name: str) -> None:
        """Somebody changes the target by hand."""
        if self.targets[name].release is not None:
            self.targets[name] = replace(self.targets[name], digest=f"sha256:{7:064x}")
            covered["drifted"] += 1

    def corrupt(self, name: str, release: str) -> None:
        """The newest evidence turns out to be unreadable."""
        records = self.facts.evidence.get((name, release), [])
        if records:
            last = records.pop()  # type: ignore[attr-defined]
            path = evidence_path(name, release, last.generation, last.attempt)
            self.facts = replace(self.facts, unreadable=self.facts.unreadable | {path})
            self.proofs.pop((name, release), None)
            covered["evidence unreadable"] += 1

    def observe(self, name: str) -> None:
        live = self.targets[name]
        seen = journal.observation(self.facts, name, live, "", self.now)
        if seen is not None:
            self.facts.observed[name].append(seen)  # type: ignore[attr-defined]
            if not live.healthy or (self.since[name] and self.since[name][0] != live.release):  # type: ignore[index]
                self.break_soak(name)
            if live.healthy and live.release and self.since[name] is None:
                self.since[name] = (live.release, self.now)
            covered["observed a change"] += 1

    def break_soak(self, name: str) -> None:
        if (running := self.since[name]) is not None:
            key = (name, running[0])
            self.longest[key] = max(self.longest[key], self.now - running[1])
            self.since[name] = None

    # -- what runs do ---------------------------------------------------------------------------------------------

    def start(self, name: str, skew: dt.timedelta, asked: bool = False, old: int | None = None) -> Deploying:
        """A run of the environment's group begins; with `old` it is the re-run of one that read main long ago."""
        desired, revoked = self.desired(name), self.revoked
        if old is not None and self.old[name]:
            desired, revoked = self.old[name][old % len(self.old[name])]
            covered["old run re-run"] += 1
        self.skewed = self.skewed or bool(skew)
        self.runs[name] = Deploying(name, desired, revoked, skew, asked)
        return self.runs[name]

    def advance(self, run: Deploying, steps: int = 100) -> None:
        """Let `run` do some of its steps; it may stop, or be stopped, between any two of them."""
        for _ in range(steps):
            if run.stage == "over":
                break
            getattr(self, f"_{run.stage}")(run)
        if run.stage == "over" and self.runs.get(run.environment) is run:
            del self.runs[run.environment]

    def _view(self, run: Deploying) -> world.World:
        desired = {name: self.desired(name) for name in self.pipeline.names} | {run.environment: run.desired}
        return world.World(self.pipeline, run.revoked, self.facts, self.now + run.skew, desired)

    def _read(self, run: Deploying) -> None:
        name, live = run.environment, self.targets[run.environment]
        run.rounds += 1
        view = self._view(run)
        decision = plan.plan(view, name, live, self.reviews[name], run.asked and run.rounds == 1)
        covered[f"decided: {decision.action}"] += 1
        run.decision, run.stage = decision, "intent"
        if decision.action not in ("deploy", "roll back") or run.rounds > 3:
            run.stage = "over"
            return
        assert decision.release is not None
        if decision.action == "deploy":
            self.assert_entitled(run, decision.release, live)
        else:
            assert decision.release in self.healthy[name], "I17: restores what never served here"

    def assert_entitled(self, run: Deploying, release: str, live: Live) -> None:
        name = run.environment
        made = self.facts.releases[release].artifacts
        last = self.facts.history(name)[-1:]
        if live.release == release and live.digest == made.digest and last and last[0].release == release:
            return  # it serves already by an earlier decision; making sure of it moves nothing
        why = self.obstacle(name, release, self.now + run.skew, -MARGIN)
        assert why is None, why

    def obstacle(self, name: str, release: str, now: dt.datetime, slack: dt.timedelta) -> str | None:
        """Which promise breaks if `release` enters `name`; None for a way back and for one that met every gate."""
        if release in self.healthy[name] and self.sequence(release) <= self.sequence(self.healthy[name][-1]):
            return None
        step = self.pipeline.step(name)
        for earlier in self.pipeline.earlier(name):
            if release not in self.healthy[earlier.name]:
                return f"I5: {name} skips {earlier.name}"
            if not self.proven(earlier.name, release, name, now, -slack):
                return f"I6: no valid proof in {earlier.name}"
        if step.soak and self.soak(self.pipeline.earlier(name)[-1].name, release) < step.soak + slack:
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

    def _intent(self, run: Deploying) -> None:
        name, decision = run.environment, run.decision
        assert decision is not None
        assert decision.release is not None
        kind: Literal["deploy", "restore"] = "deploy" if decision.action == "deploy" else "restore"
        author = journal.Author(Run(workflow=WORKFLOW), "ann")
        try:
            intent = journal.start(
                self.facts, run.desired, decision.release, kind, author, self.now + run.skew
            )
        except UserError:
            covered["stale run stopped at its intent"] += 1
            run.stage = "over"
            return
        orders = [item.order for item in self.facts.history(name)]
        assert all(order < (intent.generation, intent.attempt) for order in orders), (
            "I13: the order goes back"
        )
        run.index = len(orders)
        self.facts.deployments[name].append(Deployment(intent))  # type: ignore[attr-defined]
        if self.since[name] and self.since[name][0] != intent.release:  # type: ignore[index]
            self.break_soak(name)
        run.stage = "apply"

    def _apply(self, run: Deploying) -> None:
        """What an adapter does: it refuses to go behind a newer deployment, and never resolves a tag."""
        name = run.environment
        intent = self.facts.history(name)[run.index].intent
        if self.targets[name].fence > intent.fence:
            covered["target refused a late run"] += 1
            run.stage = "over"
            return
        release = intent.release
        assert intent.fence >= self.applied_fence[name], (
            "I13: an environment went backwards in main's history"
        )
        revoked = self.revoked_at.get(release)
        assert revoked is None or revoked > intent.fence, "I8: a revoked release is applied"
        assert release in self.facts.releases, "I1: what is applied was never released"
        self.applied_fence[name] = intent.fence
        well = (name, release) not in self.sick
        if well or self.in_place or self.targets[name].release in (None, release):
            digest = self.facts.releases[release].artifacts.digest
            self.targets[name] = Live(release, digest, well, intent.fence)
        covered["applied" if intent.kind == "deploy" else "restored"] += 1
        run.stage = "outcome"

    def _outcome(self, run: Deploying) -> None:
        name, live = run.environment, self.targets[run.environment]
        intent = self.facts.history(name)[run.index].intent
        outcome = journal.finish(intent, live, "", self.now + run.skew)
        if outcome.healthy:
            assert live.healthy, "I23: an outcome says healthy of what is not"
            assert live.release == intent.release, "I23: an outcome says healthy of another release"
            self.healthy[name].append(intent.release)
            if self.since[name] is None:
                self.since[name] = (intent.release, self.now)
        elif self.since[name] and self.since[name][0] == intent.release:  # type: ignore[index]
            self.break_soak(name)
        self.facts.deployments[name][run.index] = Deployment(intent, outcome)  # type: ignore[index]
        run.stage = "evidence" if outcome.healthy else "read"
        covered["became healthy" if outcome.healthy else "stayed unhealthy"] += 1

    def _evidence(self, run: Deploying) -> None:
        name, live = run.environment, self.targets[run.environment]
        intent = self.facts.history(name)[run.index].intent
        run.stage = "read"
        if live.release != intent.release or live.digest is None:
            covered["identity changed under verification"] += 1
            return
        passed = (name, intent.release) not in self.failing
        record = Evidence(
            environment=name,
            release=intent.release,
            generation=intent.generation,
            attempt=intent.attempt,
            digest=live.digest,
            checks={"version": True, "smoke": passed},
            policy=self.pipeline.policy(name),
            eval_hash="0" * 64,
            run=Run(workflow=WORKFLOW),
            at=self.now + run.skew,
        )
        self.facts.evidence[name, intent.release].append(record)  # type: ignore[attr-defined]
        self.proofs[name, intent.release] = (passed, live.digest, record.at)
        covered["proven" if passed else "failed its checks"] += 1

    # -- what has to be true once everything has run ---------------------------------------------------------------

    def settle(self) -> None:
        """Every run ends and the schedule runs everywhere: then each environment is where main is, or says why not."""
        for run in [*self.runs.values(), *self.zombies]:
            self.advance(run)
        self.zombies.clear()
        for _ in range(2):
            for name in self.pipeline.names:
                self.advance(self.start(name, dt.timedelta()))
        for name in self.pipeline.names:
            self.observe(name)
        before = sum(len(items) for items in self.facts.deployments.values())
        view = self.world()
        for name in self.pipeline.names:
            self.advance(self.start(name, dt.timedelta()))
        assert sum(len(items) for items in self.facts.deployments.values()) == before, (
            "I14: settled, yet it deploys"
        )
        for name, row in zip(self.pipeline.names, status.rows(view), strict=True):
            self._assert_converged(name)
            live = self.targets[name]
            well = live.healthy and live.release == self.wanted(name) and live.release not in self.revoked_at
            assert (row.state == "in sync") <= well, "I23: status says in sync of what is not"
            assert row.live == live.release, "I23: status shows another release than the one that serves"
            assert (live.release is None) or row.commit is not None, "I22: a release without its commit"
        covered["settled"] += 1

    def _assert_converged(self, name: str) -> None:
        wanted, live = self.wanted(name), self.targets[name]
        desired = self.desired(name)
        assert desired.release == wanted, "I12: main is read wrongly"
        if wanted is None or wanted in self.revoked_at or (name, wanted) in self.sick:
            return
        tried = [
            item
            for item in self.facts.history(name)
            if item.release == wanted and item.intent.kind == "deploy"
        ]
        if tried and tried[-1].failed and tried[-1].intent.generation == desired.generation:
            return
        if self.obstacle(name, wanted, self.now, MARGIN) is not None:
            return
        if self.skewed and self.pipeline.step(name).soak:
            return  # clocks that contradict each other void a soak, which is the safe side
        assert live.release == wanted, "I12: an environment is not where main is, and nothing is in the way"
        assert live.healthy, "I12: an environment is not healthy, and nothing is in the way"
        assert live.digest == self.facts.releases[wanted].artifacts.digest, (
            "I2: another digest than the proven one"
        )
        covered["converged"] += 1
