"""What runs of the deploy workflow do, step by step, as far as they get."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Literal

from gitops_ml.delivery import journal, plan, world
from gitops_ml.delivery.deployment import Deployment, Live
from gitops_ml.delivery.typed import Run
from gitops_ml.errors import UserError

from tests.delivery.truth import MARGIN, WORKFLOW, Deploying, Truth, covered


class Runs(Truth):
    """A run reads, writes its intent, applies, writes its outcome, proves, and reads again."""

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
        assert name not in self.torn or intent.fence < len(self.trees) or intent.kind == "restore", (
            "I3: a file whose parts do not belong together is applied"
        )
        assert revoked is None or revoked > intent.fence, "I8: a revoked release is applied"
        assert release in self.facts.releases, "I1: what is applied was never released"
        self.applied_fence[name] = intent.fence
        well = (name, release) not in self.sick
        if well or self.in_place or self.targets[name].release in (None, release):
            digest = self.facts.releases[release].artifacts.digest
            self.targets[name] = Live(release, digest, well, intent.fence)
        else:  # the old one serves on, but what read an older main must not get past this attempt
            self.targets[name] = replace(self.targets[name], fence=intent.fence)
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
        at = self.now + run.skew
        checks = {"version": True, "smoke": passed}
        self.record(
            name,
            intent.release,
            (intent.generation, intent.attempt),
            live.digest,
            checks,
            Run(workflow=WORKFLOW),
            at,
        )
        self.proofs[name, intent.release] = (passed, live.digest, at)
        covered["proven" if passed else "failed its checks"] += 1
