"""The table of environments: what should run, what runs, since when, by whom, and what is wrong with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gitops_ml.delivery.deployment import Deployment
from gitops_ml.delivery.propose import Proposal, propose
from gitops_ml.delivery.release import short
from gitops_ml.delivery.world import Desired, World
from gitops_ml.escape import visible

State = Literal["in sync", "behind", "deploying", "failed", "unhealthy", "drifted", "revoked", "empty"]
# Where somebody has to look; the others are as they should be, or on the way there.
WRONG: tuple[State, ...] = ("failed", "unhealthy", "drifted", "revoked")


@dataclass(frozen=True)
class Row:
    """One environment. `live` is what it said of itself last; None is shown as a dash."""

    environment: str
    state: State
    wanted: str | None
    live: str | None
    commit: str | None
    primary: tuple[str, float] | None
    since: dt.datetime | None
    by: str | None
    pinned: bool


def rows(world: World) -> list[Row]:
    """One row per environment, in the order of the pipeline."""
    return [_row(world, name) for name in world.pipeline.names]


def pending(world: World) -> list[Proposal]:
    """For each promoted environment what could be promoted to it, or why nothing."""
    return [propose(world, step.name) for step in world.pipeline.environments if not step.follow]


def _row(world: World, name: str) -> Row:
    desired = world.desired[name]
    live = world.facts.live(name)
    manifest = world.manifest(live.release)
    arrival = _arrival(world, name, live.release)
    value = None
    if manifest is not None and manifest.primary is not None and manifest.primary in manifest.metrics:
        value = (manifest.primary, manifest.metrics[manifest.primary])
    return Row(
        environment=name,
        state=_state(world, desired),
        wanted=desired.release,
        live=live.release,
        commit=None if manifest is None else manifest.artifacts.commit,
        primary=value,
        since=None if arrival is None or arrival.outcome is None else arrival.outcome.at,
        by=None if arrival is None else arrival.intent.by,
        pinned=desired.pinned,
    )


def _arrival(world: World, name: str, release: str | None) -> Deployment | None:
    """The deployment with which `release` began to serve without another one in between."""
    arrival = None
    for item in reversed(world.facts.history(name)):
        if item.release == release and item.healthy:
            arrival = item
        elif item.release != release and item.healthy:
            break
    return arrival


def _state(world: World, desired: Desired) -> State:
    """The first thing that is wrong, the worst first; `in sync` only where the environment itself confirmed it."""
    live = world.facts.live(desired.environment)
    last = world.facts.history(desired.environment)[-1:]
    manifest = world.manifest(desired.release)
    if live.release is not None and world.revoked.reason(live.release) is not None:
        return "revoked"
    if last and last[0].outcome is None:
        return "deploying"
    if live.release is not None and not live.healthy:
        return "unhealthy"
    if live.release is None and live.digest is not None:
        return "drifted"  # something runs that is no release
    if live.release is None:
        return "empty" if desired.release is None else "behind"
    if live.release == desired.release:
        same = manifest is not None and live.digest == manifest.artifacts.digest
        return "in sync" if same else "drifted"
    mine = [item for item in world.facts.history(desired.environment) if item.release == desired.release]
    if mine and mine[-1].failed and mine[-1].intent.generation == desired.generation:
        return "failed"
    by_us = any(
        item.healthy and item.release == live.release for item in world.facts.history(desired.environment)
    )
    return "behind" if by_us else "drifted"


def table(world: World, branches: Sequence[str] = ()) -> str:
    """The rows, what is wrong and what is pending, as text for a terminal; nothing in it can act.

    `branches` are those of the remote on which environments are asked to move; they stand for open pull requests.
    """
    head = ("environment", "state", "release", "wanted", "commit", "metric", "since", "by")
    lines = [head, *(_cells(row) for row in rows(world))]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    for part in (
        troubles(world),
        [line for each in pending(world) for line in _pending(world, each, branches)],
    ):
        text += ["", *part] if part else []
    if world.facts.unreadable:
        names = sorted(world.facts.unreadable)
        said = f"{len(names)} records on deploy-state are unreadable and count as absent, first: {names[0]}"
        text += ["", visible(said, 300)]
    return "\n".join(text) + "\n"


def troubles(world: World) -> list[str]:
    """One line for each environment that is not where main wants it: what is the matter, and what helps."""
    return [f"{row.environment}: {said}" for row in rows(world) if (said := _trouble(world, row))]


def _trouble(world: World, row: Row) -> str:
    name, live, wanted = row.environment, short(row.live), short(row.wanted)
    back = f'go back with: make rollback ENV={name} REASON="..."'
    last = world.facts.history(name)[-1:]
    why = last[0].outcome.reason if last and last[0].outcome is not None else ""
    because = f" ({visible(why, 200)})" if why else ""
    match row.state:
        case "failed":
            return f"{wanted} could not become healthy{because}, {live} serves; {back}"
        case "unhealthy":
            return f"{live} is not healthy{because}; {back}"
        case "revoked":
            reason = visible(world.revoked.reason(row.live or "") or "", 200)
            return f"{live} serves and is revoked ({reason}); {back}"
        case "drifted":
            return f"{live} runs there and main wants {wanted}; the next run of deliver puts that back"
        case "deploying":
            return f"a deployment of {short(last[0].release)} has begun and has no outcome yet"
        case "behind":
            return f"main wants {wanted}; the next run of deliver brings it there"
        case _:
            return ""


def _pending(world: World, proposal: Proposal, branches: Sequence[str]) -> Iterator[str]:
    """What could be promoted to one environment, or what is on its way to it already."""
    name, here = proposal.environment, world.desired[proposal.environment].release
    moves = [branch.split("/") for branch in branches]
    asked = [
        (kind, release)
        for kind, environment, digits in (move for move in moves if len(move) == 3)
        for release in world.facts.releases
        if environment == name and release[2:10] == digits and release != here
    ]
    for kind, release in asked:
        word = "a rollback to" if kind == "rollback" else "the promotion of"
        yield f"{name}: {word} {short(release)} is open, on the branch {kind}/{name}/{release[2:10]}"
    if proposal.release is None:
        yield f"{name}: {visible(proposal.reason.removeprefix(f'{name} stays at {short(here)}: '), 300)}"
    elif ("promote", proposal.release) not in asked:
        takers = [step for step in world.pipeline.environments if not step.follow]
        where = f" ENV={name}" if len(takers) > 1 else ""
        yield f"{name}: {proposal.reason}, ready to promote: make promote{where}"
    if proposal.hint:
        yield proposal.hint


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.environment,
        row.state,
        "-" if row.live is None else short(row.live),
        ("-" if row.wanted is None else short(row.wanted)) + (" (pinned)" if row.pinned else ""),
        "-" if row.commit is None else row.commit[:7],
        "-" if row.primary is None else f"{row.primary[0]} {row.primary[1]:.4g}",
        "-" if row.since is None else f"{row.since.astimezone(dt.UTC):%Y-%m-%d %H:%M}Z",
        row.by or "-",
    )
