"""`gitops-ml settings`: compare the repository's settings with `.github/settings`, and write them when asked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops_ml.delivery.access import find_github, find_place
from gitops_ml.delivery.git import Git
from gitops_ml.errors import UserError
from gitops_ml.escape import visible
from gitops_ml.runner import Runner
from gitops_ml.settings.difference import Difference, differences
from gitops_ml.settings.files import Setting, read_settings
from gitops_ml.settings.remote import Found, PlanError, Remote


@dataclass(frozen=True)
class Row:
    """One setting with what differs, or with the reason why the plan does not have it."""

    setting: Setting
    found: Found
    different: Sequence[Difference] = ()
    limit: str = ""

    def lines(self, applied: bool) -> list[str]:
        title = self.setting.title
        if self.limit:
            return [f"plan     {title}: {visible(self.limit, 300)}"]
        if self.found.value is None:
            return [f"{'made    ' if applied else 'missing '} {title}"]
        if not self.different:
            return [f"ok       {title}"]
        head = f"{'changed ' if applied else 'differs '} {title}"
        return [head, *(f"           {visible(one.line, 300)}" for one in self.different)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apply", action="store_true", help="write what differs (default: only show it)")
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="whose settings (default: origin)")


def run(options: argparse.Namespace, runner: Runner) -> int:
    """0 when it was shown or written; 1 when the plan does not have something that was to be written."""
    remote = open_remote(options.repository, options.remote, runner)
    rows = [compare(remote, setting) for setting in read_settings(options.repository)]
    if options.apply:
        rows = [_apply(remote, row) for row in rows]
    lines = [line for row in rows for line in row.lines(options.apply)]
    pending = [row for row in rows if not row.limit and (row.found.value is None or row.different)]
    if pending and not options.apply:
        lines.append("\nNothing was changed. To write these settings: make settings APPLY=1")
    print("\n".join(lines))
    runner.summary("### Settings\n\n" + "\n".join("    " + line for line in "\n".join(lines).splitlines()))
    return 1 if options.apply and any(row.limit for row in rows) else 0


def open_remote(folder: Path, name: str, runner: Runner) -> Remote:
    """The repository on its forge; raises `UserError` when it is not known, or nobody's token is at hand."""
    place = find_place(Git(folder), name, runner.environ)
    if place is None:
        fix = f"Add it: git remote add {name} git@github.com:OWNER/NAME.git"
        raise UserError(f"The remote {name} is no repository on a forge.", fix)
    github = find_github(place, runner.environ)
    if github is None:
        fix = "Log in with `gh auth login`, or set GITHUB_TOKEN to the token of an administrator."
        raise UserError(f"There is no token for {place.server}.", fix)
    return Remote(github, place.repository)


def compare(remote: Remote, setting: Setting) -> Row:
    """What differs; what the plan does not have is said in the row."""
    try:
        found = remote.read(setting)
    except PlanError as error:
        return Row(setting, Found(), limit=error.message)
    return Row(
        setting, found, list(differences(setting.wanted, found.value)) if found.value is not None else ()
    )


def _apply(remote: Remote, row: Row) -> Row:
    if row.limit or (row.found.value is not None and not row.different):
        return row
    try:
        remote.write(row.setting, row.found)
    except PlanError as error:
        return Row(row.setting, row.found, row.different, error.message)
    return row
