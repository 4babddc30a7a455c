"""The rules by which hypothesis makes histories out of what people, runners and bad luck can do."""

from __future__ import annotations

import datetime as dt

from gitops_ml.delivery.pipeline import Pipeline
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.delivery.simulation import Simulation
from tests.delivery.truth import PIPELINES, SKEW, covered

number = st.integers(0, 5)
choice = st.sampled_from([-1, -1, -1, 0, 1, 2, 3])
regrets = st.sampled_from(["", "revoke", "regret"])
misfortunes = st.sampled_from(["sicken", "fail", "drift", "corrupt", "forge", "tear", "revoke", "pin"])
approvers = st.sampled_from(["ben", "ben", "ann"])
# How many of its steps a run makes (0: its event is lost), what becomes of it then, and how wrong its clock is.
Run = tuple[int, str, dt.timedelta]
runs = st.tuples(
    st.sampled_from([9, 9, 9, 1, 2, 3, 4, 0]),
    st.sampled_from(["crash", "stall", "zombie"]),
    st.sampled_from([dt.timedelta(), dt.timedelta(), SKEW, -SKEW]),
)


class Histories(RuleBasedStateMachine):
    """One history. Numbers choose among what exists, so that every drawn value means something."""

    @initialize(
        pipeline=st.sampled_from(PIPELINES), in_place=st.booleans(), age=st.sampled_from([2, 2, 1, 0])
    )
    def begin(self, pipeline: Pipeline, in_place: bool, age: int) -> None:
        """A young repository, or one in which `age` releases have gone all the way already."""
        self.all = Simulation(pipeline, in_place)
        self.all.build(1)
        for _ in range(age):
            self.all.ship()

    def environment(self, pick: int) -> str:
        names = self.all.pipeline.names
        return names[pick % len(names)]

    def release(self, pick: int) -> str:
        names = list(self.all.facts.releases)
        return names[-1 - pick % len(names)]

    @rule(
        kind=st.sampled_from(["code", "code", "code", "docs", "revert"]),
        twins=st.sampled_from([0, 1, 1, 2]),
        run=runs,
    )
    def merge(self, kind: str, twins: int, run: Run) -> None:
        """With no twin the event is lost, and nothing is built until something else runs."""
        self.all.merge(kind)
        if not twins:
            covered["event lost"] += 1
            return
        self.all.build(twins)
        for step in self.all.pipeline.environments:
            if step.follow:
                self.event(step.name, run)

    @rule(minutes=st.sampled_from([0, 0, 150]))
    def carry(self, minutes: int) -> None:
        """A merge goes as far as the environment before the last one, and stays there for a while."""
        self.all.ship(all_the_way=False)
        self.all.tick(minutes)

    @rule(pick=number, run=runs)
    def deploy(self, pick: int, run: Run) -> None:
        """The schedule, or a dispatch."""
        self.event(self.environment(pick), run)

    def event(self, name: str, run: Run) -> None:
        """A run goes some way, or all of it; a run that is not over holds its group unless the runner is gone."""
        steps, end, skew = run
        if not steps:
            covered["event lost"] += 1
        elif name in self.all.runs:
            covered["run evicted while another holds the group"] += 1
        else:
            self.all.advance(self.all.start(name, skew), steps)
            self.stop(name, end)

    def stop(self, name: str, end: str) -> None:
        run = self.all.runs.get(name)
        if run is None:
            covered["run completed"] += 1
            return
        covered[f"{end} before {run.stage}"] += 1
        if end != "stall":
            del self.all.runs[name]
        if end == "zombie":
            self.all.zombies.append(run)

    @rule(pick=number, end=st.sampled_from(["finish", "crash", "zombie"]))
    def resume(self, pick: int, end: str) -> None:
        """A stalled run goes on, or its runner is lost; a runner that was given up may still go on."""
        name = self.environment(pick)
        if name in self.all.runs:
            if end == "finish":
                self.all.advance(self.all.runs[name])
            self.stop(name, end)
        elif self.all.zombies:
            covered["zombie goes on"] += 1
            self.all.advance(self.all.zombies.pop(pick % len(self.all.zombies)))

    @rule(pick=number, old=number, asked=st.booleans())
    def run_again(self, pick: int, old: int, asked: bool) -> None:
        """Somebody re-runs an old run, or asks for another try."""
        name = self.environment(pick)
        if name not in self.all.runs:
            self.all.advance(self.all.start(name, dt.timedelta(), asked, None if asked else old))

    @rule(pick=number, asked=choice, approver=approvers, run=st.none() | runs)
    def promote(self, pick: int, asked: int, approver: str, run: Run | None) -> None:
        """Without a run the pull request stays open. Who gets no proposal edits the file by hand."""
        name = self.all.promoted[-1 - pick // 4 % len(self.all.promoted)]
        before = len(self.all.open)
        by_hand = self.release(pick if asked < 0 else asked)
        self.all.propose(name, None if asked < 0 else self.release(asked), approver, by_hand)
        if run is not None and len(self.all.open) > before:
            self.all.merge_promotion(before)
            self.event(name, run)

    @precondition(lambda self: bool(self.all.open))
    @rule(pick=number)
    def merge_promotion(self, pick: int) -> None:
        self.all.merge_promotion(pick)

    @rule(pick=number, depth=number, then=regrets, approver=approvers, run=runs)
    def go_back(self, pick: int, depth: int, then: str, approver: str, run: Run) -> None:
        """Roll back; what was left is revoked before that, or wanted again by somebody right after."""
        name = self.all.promoted[pick % len(self.all.promoted)]
        here = self.all.files[name]
        if then == "revoke" and here is not None:
            self.all.revoke(here)
        self.all.roll_back(name, depth)
        self.event(name, run)
        if then == "regret" and here is not None:
            before = len(self.all.open)
            self.all.propose(name, here, approver)
            if len(self.all.open) > before:
                self.all.merge_promotion(before)
                self.event(name, run)

    @rule(count=st.integers(1, 2), run=runs)
    def lemons(self, count: int, run: Run) -> None:
        """Merges whose releases can't become healthy even in the first environment."""
        for _ in range(count):
            self.all.merge("code")
            self.all.build(1)
            self.all.sicken(self.all.pipeline.names[0], self.release(0))
            self.event(self.all.pipeline.names[0], run)

    @rule(pick=number, which=number, what=misfortunes)
    def misfortune(self, pick: int, which: int, what: str) -> None:
        name, release = self.environment(pick), self.release(which)
        if what == "fail":
            self.all.failing.add((name, release))
        elif what == "revoke":
            self.all.revoke(release)
        elif what == "pin":
            self.all.pin(name, None if which > 3 else release)
        else:
            getattr(self.all, what)(*([name] if what == "drift" else [name, release]))

    @rule(minutes=st.sampled_from([1, 30, 150, 1440, 3000]), heal=st.booleans(), pick=number)
    def wait(self, minutes: int, heal: bool, pick: int) -> None:
        self.all.tick(minutes)
        if heal:
            self.all.heal()
        self.all.observe(self.environment(pick))

    @rule(also=st.sampled_from(["", "", "settle"]))
    def schedule(self, also: str) -> None:
        """The hourly run everywhere, or the same until nothing is left to do."""
        if also:
            self.all.settle()
        for name in self.all.pipeline.names:
            self.event(name, (9, "crash", dt.timedelta()))

    def teardown(self) -> None:
        if hasattr(self, "all"):
            covered["histories"] += 1
            self.all.settle()


def run(histories: int, steps: int = 14) -> None:
    """Make `histories` histories of at most `steps` rules, the same ones every time; raises what broke first."""
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
