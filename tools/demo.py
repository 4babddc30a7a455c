"""`make demo`: a change that a reviewer turns down, and two that go to production, one of which comes back."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.demo_delivery import Machine, deliver, find_machine
from tools.demo_step import Demo, DemoError
from tools.template_files import ROOT, RenderError, copy_template, render
from tools.terminal import plain

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


def environment() -> dict[str, str]:
    """This process' environment with an author for the demo's commits, and without our own virtual environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")
    }
    return kept | IDENTITY


def python_version(running: tuple[int, int] = sys.version_info[:2]) -> str:
    """The answer to `python_version`: the Python that runs this, so that uv need not download one; else the default."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    offered: list[str] = questions["python_version"]
    version = ".".join(map(str, running))
    return version if version in offered else offered[0]


def generate(parent: Path, environ: Mapping[str, str], deploy_target: str = "registry") -> Path:
    """Generate the project anew below `parent`; what an earlier demo left there is replaced.

    `parent` may lie in another repository, such as this one: git is told not to look there, so that the project
    becomes a repository of its own.
    """
    for name in (SLUG, "origin.git"):
        if (parent / name).exists():
            shutil.rmtree(parent / name)
    environ = {**environ, "GIT_CEILING_DIRECTORIES": str(parent)}
    answers = {"project_slug": SLUG, "python_version": python_version(), "deploy_target": deploy_target}
    with tempfile.TemporaryDirectory() as scratch:
        project, _ = render(copy_template(Path(scratch, "template")), parent, answers, environ=environ)
    return project


def play(demo: Demo) -> str:
    """Train, change a parameter on a branch, train again, compare; returns the report as Markdown."""
    demo.run("setting up its environment", ["make", "setup"])
    demo.run("training on main", ["make", "train"])
    demo.run("making a branch", ["git", "switch", "--quiet", "--create", BRANCH])
    demo.change_parameter(BEFORE, AFTER)
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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("parent", type=Path, help="folder for the generated project")
    parent: Path = parser.parse_args(arguments).parent.resolve()
    environ = environment()
    machine, missing = look_for_machine(environ)
    print(f"Generating {SLUG} in {parent} ...", flush=True)
    if machine is None:
        print(f"It ends with the report, without delivery: {missing}.", flush=True)
    try:
        project = generate(parent, environ, "compose" if machine else "registry")
        demo = Demo(project, environ)
        print(f"\nWhat a reviewer would read:\n\n{plain(play(demo))}\n")
        if machine is not None:
            print("That change is turned down. Delivery goes on from main:", flush=True)
            demo.run("going back to main", ["git", "switch", "--quiet", "main"])
            print("\nWhat ran where:\n\n" + "\n".join(f"  {line}" for line in deliver(demo, machine)))
            print("\nThe rollback brought back the first release: the same bytes, and nothing was built.\n")
    except (DemoError, RenderError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if machine is None:
        print(f"Delivery was skipped: {missing}.\nREADME.md says how to get it; run make demo again then.\n")
    print(f"  project  {project}")
    print(f"  MLflow   {project / 'mlflow.db'}; make ui, there, shows it (needs uv)")
    print(f"Open next: {project / 'reports' / 'diff' / 'report.html'}")
    return 0


def look_for_machine(environ: Mapping[str, str]) -> tuple[Machine | None, str]:
    """The machine to deliver to, or None and what is missing."""
    try:
        return find_machine(environ), ""
    except DemoError as error:
        return None, str(error)


if __name__ == "__main__":
    sys.exit(main())
