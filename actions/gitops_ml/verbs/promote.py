"""`gitops-ml promote`: the one pull request that moves a proven release to the next environment."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitops_ml.delivery.environment import render
from gitops_ml.delivery.move import Move
from gitops_ml.delivery.propose import Proposal, propose
from gitops_ml.delivery.pulls import Pull
from gitops_ml.delivery.release import named, short
from gitops_ml.delivery.trailers import REQUESTED_BY, with_trailers
from gitops_ml.delivery.workshop import Workshop, open_workshop
from gitops_ml.errors import UserError
from gitops_ml.escape import visible
from gitops_ml.runner import Runner

_SAID = {
    "opened": "Opened",
    "adopted": "Open already",
    "gave way": "Left for this one",
    "nothing": "Still open",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--environment", default="", help="where to (default: the one that takes promotions)")
    parser.add_argument(
        "--release", default="", help="r-... or its first digits (default: what the environment before runs)"
    )
    parser.add_argument(
        "--automatic",
        action="store_true",
        help="propose only what nobody has turned down; nothing to do is no failure",
    )
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="where pull requests are merged (default: origin)")


def run(options: argparse.Namespace, runner: Runner) -> int:
    """Open, adopt or close; 2 when a person asked for what can't be proposed."""
    if options.automatic and options.release:
        raise UserError("--automatic chooses the release itself.", "Leave out --release or --automatic.")
    shop = open_workshop(options.repository, options.remote, runner, dt.datetime.now(dt.UTC))
    done = [_promote(shop, name, options) for name in _environments(shop, options)]
    for result in done:
        for line in result.lines():
            print(line)
        runner.summary("\n".join("    " + line for line in result.lines()))
    pulls = [result.pull for result in done if result.pull is not None]
    runner.output("pull-request", " ".join(str(pull.number) for pull in pulls))
    runner.output("url", " ".join(pull.html_url for pull in pulls))
    runner.output("release", " ".join(result.found.release for result in done if result.found.release))
    runner.output("reason", "; ".join(visible(result.found.reason, 500) for result in done))
    return 0


@dataclass(frozen=True)
class Promoted:
    """What was found for one environment and what became of it."""

    found: Proposal
    pull: Pull | None = None
    said: str = ""

    def lines(self) -> list[str]:
        """For a person, in order; nothing in them acts in a terminal."""
        shown = self.said.splitlines()
        if self.pull is not None:
            shown = [f"{self.said}: #{self.pull.number} {visible(self.pull.html_url, 300)}"]
        if self.found.release is None:
            shown.append(visible(f"Nothing to promote: {self.found.reason}.", 500))
        return [*shown, self.found.hint] if self.found.hint else shown


def _environments(shop: Workshop, options: argparse.Namespace) -> Sequence[str]:
    """Automation looks at every environment that takes promotions; a person means one."""
    takers = [step.name for step in shop.world.pipeline.environments if not step.follow]
    if options.environment:
        if options.environment not in takers:
            fix = f"These do: {', '.join(takers) or 'none'}."
            raise UserError(f"{options.environment[:40]!r} takes no promotions.", fix)
        return [options.environment]
    if not options.automatic and len(takers) != 1:
        names = ", ".join(takers) or "none"
        raise UserError(f"These environments take promotions: {names}.", "Say which one: ENV=...")
    return takers


def _wanted(shop: Workshop, environment: str, options: argparse.Namespace) -> Proposal:
    """What to propose. A person who names nothing means what the environment before wants, even if it was left once."""
    world = shop.world
    if options.automatic:
        return propose(world, environment)
    if options.release:
        return propose(world, environment, named(world.facts.releases, options.release))
    before = world.desired[world.pipeline.earlier(environment)[-1].name].release
    if before is None or world.sequence(before) <= world.sequence(world.desired[environment].release):
        return propose(world, environment)
    return propose(world, environment, before)


def _promote(shop: Workshop, environment: str, options: argparse.Namespace) -> Promoted:
    """Bring it to the forge. What a person wanted and can't have is an error, with what helps."""
    found = _wanted(shop, environment, options)
    if found.release is None and not options.automatic:
        raise UserError(
            f"Nothing is promoted: {found.reason}.", found.hint or "See what is pending: make status"
        )
    move = None if found.release is None else _move(shop, environment, found.release, not options.automatic)
    mover = shop.mover()
    if mover is None:
        return Promoted(found, said="" if move is None else shop.by_hand(move))
    if options.automatic:
        mover.sweep(environment)
    rollbacks = mover.pulls.open_ones(f"rollback/{environment}/")
    if rollbacks and move is not None:
        why = f"the rollback #{rollbacks[0].number} of {environment} is open"
        if not options.automatic:
            raise UserError(f"Nothing is promoted: {why}.", "Merge or close it first.")
        found, move = replace(found, release=None, reason=why), None
    letter = None if move is None else shop.letter(move, shop.world.facts.releases[move.release])
    done = mover.submit("promote", environment, letter)
    if done.outcome == "gave way" and not options.automatic and done.pull is not None:
        raise UserError(
            f"{environment} has the open pull request #{done.pull.number}, which stays: {done.pull.html_url}",
            "Merge or close it first; an approved pull request is never changed.",
        )
    return Promoted(found, done.pull, _SAID[done.outcome])


def _move(shop: Workshop, environment: str, release: str, asked: bool) -> Move:
    manifest = shop.world.facts.releases[release]
    here = shop.world.desired[environment].release
    title = f"Promote {short(release)} to {environment}"
    trailers = {
        "Release": release,
        "Release-Before": here or "none",
        REQUESTED_BY: shop.requested_by if asked else None,
    }
    return Move(
        "promote",
        environment,
        release,
        render(environment, manifest.artifacts),
        title,
        with_trailers(title, "", trailers),
        asked,
    )
