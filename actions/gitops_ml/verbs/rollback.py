"""`gitops-ml rollback`: the one pull request that brings an earlier release back."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

from gitops_ml.delivery.back import way_back
from gitops_ml.delivery.environment import file_of, pinned, render
from gitops_ml.delivery.move import Move
from gitops_ml.delivery.mover import Mover
from gitops_ml.delivery.propose import Proposal
from gitops_ml.delivery.pulls import Pull
from gitops_ml.delivery.release import Manifest, named, short
from gitops_ml.delivery.trailers import REQUESTED_BY, with_trailers
from gitops_ml.delivery.workshop import Workshop, open_workshop
from gitops_ml.errors import UserError
from gitops_ml.escape import visible
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--environment", required=True, help="which environment goes back")
    parser.add_argument(
        "--to", default="", help="r-... or its first digits (default: what was healthy before)"
    )
    parser.add_argument(
        "--reason", required=True, help="why, in one sentence; it stays in the history of main"
    )
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="where pull requests are merged (default: origin)")


def run(options: argparse.Namespace, runner: Runner) -> int:
    """Open or adopt it; 2 when there is no such way back."""
    if not visible(options.reason, 300):
        raise UserError("A rollback needs its reason.", 'Say why: REASON="latency doubled"')
    shop = open_workshop(options.repository, options.remote, runner, dt.datetime.now(dt.UTC))
    shop.world.step(options.environment)
    found = _target(shop, options)
    if found.release is None:
        raise UserError(
            f"Nothing is rolled back: {found.reason}.", found.hint or "See what served: make status"
        )
    manifest = shop.world.facts.releases[found.release]
    move = _move(shop, options.environment, manifest, options.reason)
    pull = _submit(shop, move, manifest, options.reason)
    runner.output("pull-request", "" if pull is None else str(pull.number))
    runner.output("url", "" if pull is None else pull.html_url)
    runner.output("release", found.release)
    runner.output("reason", found.reason)
    return 0


def _target(shop: Workshop, options: argparse.Namespace) -> Proposal:
    asked = named(shop.world.facts.releases, options.to) if options.to else None
    return way_back(shop.world, options.environment, asked)


def _move(shop: Workshop, environment: str, manifest: Manifest, reason: str) -> Move:
    release, here = manifest.release, shop.world.desired[environment].release
    if shop.world.step(environment).follow:
        file = shop.git.blobs([f"{shop.main}:{file_of(environment)}"])[0]
        content, title = pinned(file or b"", release), f"Hold {environment} at {short(release)}"
    else:
        content, title = (
            render(environment, manifest.artifacts),
            f"Roll {environment} back to {short(release)}",
        )
    trailers = {
        "Rollback-To": release,
        "Rollback-From": here or "none",
        "Reason": reason,
        REQUESTED_BY: shop.requested_by,
    }
    return Move("rollback", environment, release, content, title, with_trailers(title, "", trailers))


def _submit(shop: Workshop, move: Move, manifest: Manifest, reason: str) -> Pull | None:
    """The pull request, which exists before anything else is tidied up: nothing may stand in its way."""
    mover = shop.mover()
    if mover is None:
        _say(shop.runner, shop.by_hand(move))
        return None
    done = mover.submit("rollback", move.environment, shop.letter(move, manifest, reason))
    if done.pull is None:
        raise UserError("The pull request of the rollback did not stay open.", "Run it again.")
    said = "Opened" if done.outcome == "opened" else "Open already"
    _say(
        shop.runner,
        f"{said}: #{done.pull.number} {visible(done.pull.html_url, 300)}\nMerge it, and {_then(shop, move)}",
    )
    _make_way(shop.runner, mover, move.environment, done.pull)
    return done.pull


def _then(shop: Workshop, move: Move) -> str:
    if shop.world.step(move.environment).follow:
        return (
            f"{move.environment} is held at {short(move.release)}. To follow main again, revert that merge, or write "
            f"`follow: main` in {move.path} in a pull request."
        )
    return f"{move.environment} runs {short(move.release)} again. Nothing is built or trained."


def _make_way(runner: Runner, mover: Mover, environment: str, pull: Pull) -> None:
    try:
        mover.make_way(environment, pull)
    except UserError as error:
        # The rollback itself is open; an open promotion beside it would conflict with it and can't be merged after it.
        runner.annotate(
            "warning", f"The open promotions of {environment} could not be closed: {error.message}"
        )


def _say(runner: Runner, text: str) -> None:
    print(text)
    runner.summary("\n".join("    " + line for line in text.splitlines()))
