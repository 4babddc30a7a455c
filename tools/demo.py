"""`make demo`: one change to one model, from the first training to the report a reviewer would read."""

from __future__ import annotations

import argparse
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.template_files import RenderError, copy_template, render

SLUG = "tumour-triage"
BRANCH = "weaker-regularisation"
# The demo's change: the same model, fitted more loosely.
BEFORE = "C: 0.5"
AFTER = "C: 100.0"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Demo",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "Demo",
    "GIT_COMMITTER_EMAIL": "demo@localhost",
}


class DemoError(Exception):
    """A step failed; the message says which, and how to see why."""


@dataclass(frozen=True)
class Demo:
    """A generated project and the environment its commands run in."""

    project: Path
    environ: Mapping[str, str]

    def run(self, title: str, command: Sequence[str], may_fail: bool = False) -> str:
        """Run one step in the project and say how long it took; raises DemoError when it must not fail and does."""
        print(f"  {title} ...", end="", flush=True)
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.project,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        print(f" {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode != 0 and not may_fail:
            raise DemoError(
                f"{title}: `{' '.join(command)}` in {self.project} failed.\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def change_parameter(self) -> None:
        """Edit `params.yaml` as a data scientist would; raises DemoError when the line is not there."""
        params = self.project / "params.yaml"
        text = params.read_text(encoding="utf-8")
        if text.count(BEFORE) != 1:
            raise DemoError(f"{params} does not hold the line {BEFORE!r} once, so the demo cannot change it.")
        params.write_text(text.replace(BEFORE, AFTER), encoding="utf-8")


def environment() -> dict[str, str]:
    """This process' environment with an author for the demo's commits, and without our own virtual environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")
    }
    return kept | IDENTITY


def generate(parent: Path, environ: Mapping[str, str]) -> Path:
    """Generate the project anew below `parent`; what an earlier demo left there is replaced.

    `parent` may lie in another repository, such as this one: git is told not to look there, so that the project
    becomes a repository of its own.
    """
    if (parent / SLUG).exists():
        shutil.rmtree(parent / SLUG)
    environ = {**environ, "GIT_CEILING_DIRECTORIES": str(parent)}
    with tempfile.TemporaryDirectory() as scratch:
        template = copy_template(Path(scratch, "template"))
        project, _ = render(template, parent, {"project_slug": SLUG}, environ=environ)
    return project


def play(demo: Demo) -> str:
    """Train, change a parameter on a branch, train again, compare; returns the report as Markdown."""
    demo.run("setting up its environment", ["make", "setup"])
    demo.run("training on main", ["make", "train"])
    demo.run("making a branch", ["git", "switch", "--quiet", "--create", BRANCH])
    demo.change_parameter()
    demo.run(
        f"committing {BEFORE} -> {AFTER}",
        ["git", "commit", "--quiet", "--all", "--message", "Regularise less"],
    )
    demo.run("training on the branch", ["make", "train"])
    # A red gate makes `make compare` fail after the report is written, as it makes the check of a pull request fail.
    printed = demo.run("comparing with the merge base", ["make", "compare"], may_fail=True)
    report = demo.project / "reports" / "diff" / "report.md"
    if not report.is_file():
        raise DemoError(f"`make compare` in {demo.project} wrote no report.\n{printed}")
    return report.read_text(encoding="utf-8")


def plain(report: str) -> str:
    """The report's Markdown for a terminal: without its charts and HTML, with characters instead of entities."""
    without_charts = re.sub(
        r"<details><summary>Charts</summary>.*?</details>\n+", "", report, flags=re.DOTALL
    )
    return html.unescape(re.sub(r"</?[a-z]+>|<!--.*?-->", "", without_charts))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("parent", type=Path, help="folder for the generated project")
    parent: Path = parser.parse_args(arguments).parent.resolve()
    environ = environment()
    print(f"Generating {SLUG} in {parent} ...", flush=True)
    try:
        project = generate(parent, environ)
        report = play(Demo(project, environ))
    except (DemoError, RenderError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\n{plain(report)}\n")
    print(f"  project  {project}")
    print(f"  MLflow   {project / 'mlflow.db'}; make ui, there, shows it")
    print(f"Open next: {project / 'reports' / 'diff' / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
