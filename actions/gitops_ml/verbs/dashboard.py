"""`gitops-ml dashboard`: one page with every environment, every release and what moved when."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

from gitops_ml.delivery.access import find_place
from gitops_ml.delivery.checkout import find_main, find_state, open_repository, read_world
from gitops_ml.delivery.dashboard import render_dashboard
from gitops_ml.errors import UserError
from gitops_ml.runner import Runner
from gitops_ml.verbs.status import fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument(
        "--remote", default="origin", help="where main and deploy-state come from (default: origin)"
    )
    parser.add_argument("--offline", action="store_true", help="use what was fetched last")
    parser.add_argument(
        "--output", type=Path, default=Path("reports/dashboard/index.html"), help="the page to write"
    )


def run(options: argparse.Namespace, runner: Runner) -> int:
    git = open_repository(options.repository, runner.environ)
    if not options.offline:
        fetch(git, options.remote, runner)
    world = read_world(
        git, find_main(git, options.remote), find_state(git, options.remote), dt.datetime.now(dt.UTC)
    )
    place = find_place(git, options.remote, runner.environ)
    name = Path(git.run("rev-parse", "--show-toplevel").text).name if place is None else place.repository
    address = "" if place is None else place.page
    page: Path = options.output
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render_dashboard(world, name, address), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{page} cannot be written: {error.strerror}.", "Name another file by --output."
        ) from None
    runner.output("page", str(page))
    print(f"Wrote {page}")
    return 0
