"""`gitops-ml trace ID`: from a request, release, commit, model, image or run to everything behind it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gitops_ml.delivery.checkout import find_state, open_repository
from gitops_ml.delivery.records import load_facts
from gitops_ml.delivery.trace import SHORTEST, text, trace
from gitops_ml.errors import UserError
from gitops_ml.runner import Runner
from gitops_ml.verbs.status import fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "identifier",
        help=f"hash of a release, commit, model, data or image ({SHORTEST} digits or more), a run, or a request",
    )
    parser.add_argument(
        "--log", type=Path, help="log of the service to look the request up in, one JSON object per line"
    )
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="where deploy-state comes from (default: origin)")
    parser.add_argument("--offline", action="store_true", help="use what was fetched last")


def run(options: argparse.Namespace, runner: Runner) -> int:
    git = open_repository(options.repository, runner.environ)
    if not options.offline:
        fetch(git, options.remote, runner)
    wanted = (
        options.identifier if options.log is None else release_of_request(options.log, options.identifier)
    )
    found = trace(load_facts(git, find_state(git, options.remote)), wanted)
    if not found:
        raise UserError(
            f"No release on deploy-state has {wanted[:80]!r} in it.",
            f"Give at least {SHORTEST} digits of a hash, a run in full, or --log FILE with a request id.",
        )
    print("\n".join(text(one) for one in found), end="")
    return 0


def release_of_request(log: Path, request: str) -> str:
    """The release that answered `request`, from lines with `request_id` and `release`; raises `UserError`."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if request in line:
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(entry, dict) and entry.get("request_id") == request:
                        return str(entry.get("release", ""))
    except OSError as error:
        raise UserError(f"{log} cannot be read: {error.strerror}.") from None
    raise UserError(f"{log} holds no line whose request_id is {request[:80]!r}.", "Give the log of that day.")
