"""The deploy loop: bring one environment to where main is now, whatever event started the run.

A run reads, writes its intent, applies, writes what became of it, proves, and reads again. It may end between any two
of these, by a crash or a kill: the next run starts from what main, deploy-state and the environment itself say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gitops_ml.delivery import journal
from gitops_ml.delivery.checkout import read_world
from gitops_ml.delivery.deployment import Intent, Kind, Live, Outcome
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.merged import Merged
from gitops_ml.delivery.plan import Action, Decision, is_stale, plan
from gitops_ml.delivery.proof import Proof, wait_until
from gitops_ml.delivery.records import Record, load_facts, to_files
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.remote import fetch_main
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.targets.base import FencedError, Order, Target
from gitops_ml.delivery.typed import Run
from gitops_ml.delivery.world import Desired, World

ROUNDS = 3
# A busy machine may leave one question unanswered, which is no reason to take a release back.
PATIENCE_S = 15.0
LONGEST_REASON = 500


@dataclass(frozen=True)
class Desk:
    """What one run works with. `target` gets the world and the commit of main that it was read from."""

    git: Git
    environment: str
    target: Callable[[World, str], Target]
    review: Callable[[World, str], Merged | None] = lambda world, main: None
    run: Run = field(default_factory=Run)
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    say: Callable[[str], None] = print
    remote: str = "origin"

    @property
    def branch(self) -> StateBranch:
        return StateBranch(self.git, self.remote)


@dataclass(frozen=True)
class Situation:
    """One reading of everything, and what it asks for. `stale`: something newer than this reading has begun."""

    world: World
    target: Target
    live: Live
    decision: Decision
    stale: bool
    merged: Merged | None = None

    def desired(self, environment: str) -> Desired:
        return self.world.desired[environment]


@dataclass(frozen=True)
class Attempt:
    """One deployment that this run made; `proof` is None when there was nothing healthy to prove."""

    action: Action
    intent: Intent
    outcome: Outcome
    proof: Mapping[str, bool] | None


@dataclass(frozen=True)
class Report:
    """What the run did and found. `overtaken` is not empty when it left the environment to a newer run."""

    last: Situation
    attempts: tuple[Attempt, ...] = ()
    overtaken: str = ""

    @property
    def action(self) -> Action:
        """What was done, else what was decided."""
        return self.attempts[-1].action if self.attempts else self.last.decision.action

    @property
    def is_red(self) -> bool:
        """Whether somebody has to act; what a newer run took over is its own business."""
        if self.overtaken:
            return False
        unhealthy = bool(self.attempts) and not self.attempts[-1].outcome.healthy
        return unhealthy or self.last.decision.action in ("refuse", "roll back")

    def is_healthy(self, environment: str) -> bool:
        """Whether the environment runs what main wants and says that it is well."""
        wanted = self.last.desired(environment).release
        return self.last.live.healthy and wanted is not None and self.last.live.release == wanted


def look(desk: Desk, asked: bool = False) -> Situation:
    """Read main, the records and the environment anew, and decide; changes nothing.

    Raises `NotNamedError` when main does not name the environment, `UserError` when one of them can't be read.
    """
    main = fetch_main(desk.git, desk.remote)
    world = read_world(desk.git, main, desk.branch.fetch(), desk.now())
    name = world.step(desk.environment).name
    target = desk.target(world, main)
    live = target.live()
    decision, merged = plan(world, name, live, None, asked), None
    if decision.action not in ("nothing", "refuse"):
        # Only now, because it is a question to another server, and most runs find nothing to do.
        merged = desk.review(world, main)
        decision = plan(world, name, live, merged.review if merged else None, asked)
    stale = is_stale(world, world.desired[name], live)
    return Situation(world, target, live, confined(world, decision), stale, merged)


def confined(world: World, decision: Decision) -> Decision:
    """`decision`, or a refusal when its image does not come from the one repository that main allows."""
    if decision.action not in ("deploy", "roll back"):
        return decision
    manifest = world.manifest(decision.release)
    if manifest is None:
        why = f"{short(decision.release)} has no readable manifest on deploy-state"
        return Decision("refuse", why, decision.release)
    repository = manifest.artifacts.image.partition("@")[0]
    if repository != world.pipeline.image:
        allowed = world.pipeline.image or "none; name it as `image:`"
        why = f"its image is in {repository}, and environments/pipeline.yaml allows {allowed}"
        return Decision("refuse", why, decision.release)
    return decision


def deploy(desk: Desk, asked: bool = False) -> Report:
    """Make the environment what main says, prove it, and look again; `asked` as in `plan`.

    Raises `UserError` when a tool or a server fails; what was begun by then is finished by the next run.
    """
    attempts: list[Attempt] = []
    while True:
        situation = look(desk, asked and not attempts)
        report = Report(situation, tuple(attempts))
        decision = situation.decision
        desk.say(f"{desk.environment}: {decision.action}: {decision.reason}")
        if situation.stale and len(attempts) < ROUNDS:
            # Main is read again, once; if it is still behind, something is wrong, and the decision says so.
            situation = look(desk, asked and not attempts)
            report, decision = Report(situation, tuple(attempts)), situation.decision
        if decision.action not in ("deploy", "roll back"):
            _observe(desk, situation)
            return report
        if _is_done(attempts, situation) or _is_enough(attempts, decision):
            return report
        try:
            attempts.append(_attempt(desk, situation))
        except FencedError as error:
            desk.say(f"{desk.environment}: {error.message}")
            return Report(situation, tuple(attempts), overtaken=error.message)


def _is_done(attempts: list[Attempt], situation: Situation) -> bool:
    """Whether it would do again what it just did and proved, because its evidence does not count, as on a laptop."""
    if not attempts or attempts[-1].proof is None:
        return False
    last = attempts[-1].intent
    desired = situation.desired(last.environment)
    return (last.release, last.generation) == (situation.decision.release, desired.generation)


def _is_enough(attempts: list[Attempt], decision: Decision) -> bool:
    """A busy main must not keep one run for ever; the way back to what served is always gone, once."""
    last = attempts[-1].action if attempts else None
    return len(attempts) >= ROUNDS and not (decision.action == "roll back" and last == "deploy")


def _attempt(desk: Desk, situation: Situation) -> Attempt:
    """Intent, apply, outcome, evidence; raises `FencedError` when a newer run has begun."""
    world, decision = situation.world, situation.decision
    manifest = world.facts.releases[decision.release or ""]
    intent, tip = _start(desk, situation, manifest)
    _check_newest(desk, intent, tip)
    order = Order(desk.environment, manifest, intent.fence)
    said = situation.target.apply(order)
    live = situation.target.live() if said else _settled(situation.target, manifest.release)
    if not said and live.release != manifest.release:
        said = f"it was applied, but the environment says that it runs {short(live.release)}"
    elif not said and not live.healthy:
        said = f"it was applied, but did not answer as itself within {PATIENCE_S:.0f} s"
    outcome = journal.finish(intent, live, said[:LONGEST_REASON], desk.now())
    _append(desk, f"{desk.environment}: {short(manifest.release)} {_word(outcome)}", outcome)
    desk.say(
        f"{desk.environment}: {short(manifest.release)} is {_word(outcome)}" + (f": {said}" if said else "")
    )
    proof = _prove(desk, situation, order, intent, live) if outcome.healthy else None
    return Attempt(decision.action, intent, outcome, proof)


def _settled(target: Target, release: str) -> Live:
    """What `target` says after `release` was applied without complaint, asked again while it does not answer well."""
    seen: list[Live] = []

    def problem() -> str:
        seen[:] = [target.live()]
        return "" if seen[0].healthy or seen[0].release != release else "it does not answer well"

    wait_until(problem, PATIENCE_S)
    return seen[0]


def _start(desk: Desk, situation: Situation, manifest: Manifest) -> tuple[Intent, str]:
    """Write the intent on the newest facts, after what was seen before; returns it and the tip that it left."""
    desired, merged = situation.desired(desk.environment), situation.merged
    kind: Kind = "deploy" if situation.decision.action == "deploy" else "restore"
    author = journal.Author(run=desk.run)
    if merged is not None:
        approvers = tuple(sorted(merged.review.approvers))[:20]
        author = journal.Author(desk.run, merged.by, merged.number, approvers)
    made: list[Intent] = []

    def decide(facts: Facts) -> Mapping[str, bytes]:
        intent = journal.start(facts, desired, manifest.release, kind, author, desk.now())
        made[:] = [intent]
        return to_files(intent, *_seen(desk, situation, facts))

    done = desk.branch.append(decide, f"{desk.environment}: {kind} {short(manifest.release)}")
    return made[0], done.tip


def _check_newest(desk: Desk, intent: Intent, tip: str) -> None:
    """The last look before anything is touched, for targets that remember no fence; raises `FencedError`."""
    now = desk.branch.fetch()
    if now == tip:
        return
    history = load_facts(desk.git, now).history(intent.environment)
    if history and history[-1].order != (intent.generation, intent.attempt):
        raise FencedError("Another run has begun after this one; it brings the environment to where main is.")


def _prove(
    desk: Desk, situation: Situation, order: Order, intent: Intent, live: Live
) -> Mapping[str, bool] | None:
    """Evidence of what serves; None, and nothing written, when something else served by the time it was proven."""
    proof = situation.target.prove(order)
    if isinstance(proof, Proof):
        for check in proof.checks:
            desk.say(f"{desk.environment}: {check.line}")
    after = situation.target.live()
    if (after.release, after.digest) != (live.release, live.digest) or after.digest is None:
        desk.say(f"{desk.environment}: something else serves than was proven, so nothing is")
        return None
    record = Evidence(
        environment=desk.environment,
        release=intent.release,
        generation=intent.generation,
        attempt=intent.attempt,
        digest=after.digest,
        checks=dict(proof),
        policy=situation.world.pipeline.policy(desk.environment),
        eval_hash=order.release.eval_hash,
        run=desk.run,
        at=desk.now(),
    )
    passed = "proven" if all(proof.values()) else "failed its checks"
    _append(desk, f"{desk.environment}: {short(intent.release)} {passed}", record)
    return proof


def _observe(desk: Desk, situation: Situation) -> None:
    """Write down what the environment says when it is not what it said last: it was changed by hand, or fell ill."""
    if _seen(desk, situation, situation.world.facts):
        desk.branch.append(
            lambda facts: to_files(*_seen(desk, situation, facts)), f"{desk.environment}: observed"
        )


def _seen(desk: Desk, situation: Situation, facts: Facts) -> list[Record]:
    """The observation to add to `facts`; none when a deployment has begun since the environment was asked."""
    if len(facts.history(desk.environment)) != len(situation.world.facts.history(desk.environment)):
        return []
    seen = journal.observation(facts, desk.environment, situation.live, "", desk.now())
    return [] if seen is None else [seen]


def _append(desk: Desk, message: str, *records: Record) -> None:
    desk.branch.append(lambda facts: to_files(*records), message)


def _word(outcome: Outcome) -> str:
    return "healthy" if outcome.healthy else "not healthy"
