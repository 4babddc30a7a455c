"""`gitops-ml doctor`: one page on what is missing here, in this clone and on the forge, each with its fix."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitops_ml.delivery.access import find_github, find_place
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.doctor.finding import Finding, State, count, failed, page, summary
from gitops_ml.doctor.forge import judge_forge
from gitops_ml.doctor.local import judge_clone, read_clone
from gitops_ml.errors import UserError
from gitops_ml.escape import visible
from gitops_ml.login.place import place_of
from gitops_ml.runner import Level, Runner
from gitops_ml.settings.files import read_settings
from gitops_ml.settings.remote import Remote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="whose settings are looked at (default: origin)")
    parser.add_argument("--offline", action="store_true", help="look at this machine and this clone only")


def run(options: argparse.Namespace, runner: Runner) -> int:
    """1 when something important is missing."""
    clone = read_clone(options.repository, options.remote, runner.environ)
    findings = list(judge_clone(clone))
    if not options.offline:
        image = clone.policy.image if isinstance(clone.policy, Pipeline) else None
        findings += _forge(options, runner, image)
    coloured = sys.stdout.isatty() and not runner.on_actions and not runner.environ.get("NO_COLOR")
    print(page(findings, coloured), end="")
    runner.summary(summary(findings))
    missing, unknown = count(findings, "missing"), count(findings, "unknown")
    runner.output("missing", str(missing))
    runner.output("unknown", str(unknown))
    if runner.on_actions:
        _annotate(findings, runner)
    return 1 if failed(findings) else 0


def _annotate(findings: Sequence[Finding], runner: Runner) -> None:
    """Two at most, because GitHub shows ten of a step: what is missing, and what nobody could look at."""
    told: tuple[tuple[State, Level, str], ...] = (
        ("missing", "error", "Missing, with the fixes in the summary"),
        ("unknown", "warning", "Not known, and so neither in order nor missing"),
    )
    for state, level, head in told:
        shown = [visible(one.what, 300) for one in findings if one.state == state]
        if shown:
            runner.annotate(level, "\n".join([f"{head}:", *shown[:20]]))


def _forge(options: argparse.Namespace, runner: Runner, image: str | None) -> Iterator[Finding]:
    place = find_place(Git(options.repository), options.remote, runner.environ)
    if place is None:
        yield Finding(
            "unknown", "the settings on the forge", "", f"Name it: git remote add {options.remote} ..."
        )
        return
    github = find_github(place, runner.environ)
    if github is None:
        fix = "Log in with `gh auth login`, or set GITHUB_TOKEN to the token of an administrator."
        yield Finding("unknown", f"the settings of {place.repository}: there is no token", "", fix)
        return
    try:
        settings = read_settings(options.repository)
    except UserError as error:
        yield Finding("missing", error.message, "Nothing says what the settings should be.", error.fix)
        return
    registry = place_of(image, {"GITHUB_SERVER_URL": place.server}) if image else None
    yield from judge_forge(Remote(github, place.repository), settings, registry)
