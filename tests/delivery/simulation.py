"""What befalls environments, and what has to be true once everything has run."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from gitops_ml.delivery import journal, status, trace
from gitops_ml.delivery.paths import evidence_path
from gitops_ml.delivery.typed import Run

from tests.delivery.people import People
from tests.delivery.runs import Runs
from tests.delivery.truth import MARGIN, WORKFLOW, covered


class Simulation(People, Runs):
    """The whole: people, runs, and bad luck."""

    def ship(self, all_the_way: bool = True) -> None:
        """One merge goes through every environment, or all but the last, as far as nothing is in its way."""
        self.merge("code")
        self.build(1)
        for name in self.pipeline.names if all_the_way else self.pipeline.names[:-1]:
            if name in self.runs:
                return
            if name in self.promoted:
                before = len(self.open)
                self.propose(name, None, "ben")
                if len(self.open) > before:
                    self.merge_promotion(before)
            self.advance(self.start(name, dt.timedelta()))
            if all_the_way:
                self.now += 2 * self.pipeline.environments[-1].soak

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
        """The newest evidence turns out to be unreadable. What somebody forged is no proof that could be lost."""
        records = self.facts.evidence.get((name, release), [])
        if records:
            last = records.pop()  # type: ignore[attr-defined]
            path = evidence_path(name, release, last.generation, last.attempt)
            self.facts = replace(self.facts, unreadable=self.facts.unreadable | {path})
            if last.run.workflow == WORKFLOW:
                self.proofs.pop((name, release), None)
            covered["evidence unreadable"] += 1

    def forge(self, name: str, release: str) -> None:
        """Somebody with write access to the branch adds evidence that no trusted run gathered.

        In the place of a healthy deployment that left none it hides older proof, which is the safe side: nobody can
        tell any more what the newest evidence said.
        """
        free = {item.order for item in self.facts.history(name) if item.release == release}
        free -= {(one.generation, one.attempt) for one in self.facts.evidence.get((name, release), ())}
        digest = self.facts.releases[release].artifacts.digest
        run = Run(workflow=".github/workflows/mine.yml@refs/heads/feature")
        order = max(free, default=(1, 99))
        self.record(name, release, order, digest, {"version": True, "smoke": True}, run, self.now)
        newest = self.facts.evidence[name, release][-1]
        if any(item.order == order and item.healthy for item in self.facts.history(name)) and (
            (newest.generation, newest.attempt) == order
        ):
            self.proofs.pop((name, release), None)
        covered["evidence forged"] += 1

    def tear(self, name: str, release: str) -> None:
        """The file of `name` comes to name the artifacts of another release, past every check."""
        if name in self.promoted and self.files[name] not in (None, release):
            self.commit(self.trees[-1])
            self.history[name].append(self.files[name])
            self.torn[name] = release
            covered["torn file"] += 1

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
            if live.release is not None:
                made = self.facts.releases[live.release].artifacts
                assert row.commit == made.commit, "I22: status shows another commit"
                behind = trace.trace(self.facts, made.model)
                assert live.release in [found.manifest.release for found in behind], (
                    "I22: the model leads nowhere"
                )
        covered["settled"] += 1

    def _assert_converged(self, name: str) -> None:
        wanted, live = self.wanted(name), self.targets[name]
        desired = self.desired(name)
        assert desired.release == wanted, "I12: main is read wrongly"
        if wanted is None or wanted in self.revoked_at or (name, wanted) in self.sick or name in self.torn:
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
        assert wanted in self.healthy[name], "I15: a run died, and nobody wrote down what came of it"
        assert (name, wanted) in self.proofs, "I15: a run died, and nobody proved the release"
        covered["converged"] += 1
