"""`python -m tools.lint`: the linters for what is not Python, over everything this repository ships."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.template_files import PROJECT_FOLDER, ROOT

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
# What cookiecutter fills in; any name in its place makes a template's file Python that can be read.
PLACEHOLDER = re.compile(r"<<.*?>>")
# The linters stand beside this Python; pre-commit and editors do not put that folder on PATH.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
PARSER = Path(".tools", "workflow-parser", "parse.mjs")
BASH = "#!/usr/bin/env bash"


def tracked(root: Path, *patterns: str) -> list[Path]:
    """Files git knows or would add, that match `patterns`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    return [root / name for name in names if name and (root / name).is_file()]


def workflows(root: Path) -> list[Path]:
    folders = (".github/workflows", f"{PROJECT_FOLDER}/.github/workflows")
    return sorted(path for folder in folders for path in (root / folder).glob("*.yml"))


def action_files(root: Path) -> list[Path]:
    return sorted((root / "actions").glob("*/action.yml"))


def issue_forms(root: Path) -> list[Path]:
    return tracked(root, "*ISSUE_TEMPLATE/*.yml", ":!*/config.yml")


def shell_scripts(root: Path) -> list[Path]:
    def is_shell(path: Path) -> bool:
        with path.open("rb") as file:
            first = file.readline(64).decode(errors="replace").strip()
        return first in (BASH, "#!/bin/sh")

    return [path for path in tracked(root) if not path.suffix and is_shell(path)]


def too_long(root: Path) -> list[str]:
    """One line for each Python file that has outgrown `MAX_LINES`."""
    counts = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in tracked(root, "*.py"))
    return [
        f"{path.relative_to(root)}: {lines} lines, at most {MAX_LINES}"
        for path, lines in counts
        if lines > MAX_LINES
    ]


def too_long_functions(root: Path) -> list[str]:
    """One line for each function that has outgrown `MAX_FUNCTION_LINES`, its decorators not counted."""
    found = []
    for path in tracked(root, "*.py"):
        tree = ast.parse(PLACEHOLDER.sub("x", path.read_text(encoding="utf-8")), filename=str(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    place = f"{path.relative_to(root)}:{node.lineno}: {node.name}"
                    found.append(f"{place} has {lines} lines, at most {MAX_FUNCTION_LINES}")
    return found


def run(title: str, command: Sequence[str | Path], root: Path, stdin: str = "") -> bool:
    """Run one linter; print what it said only when it found something."""
    words = [str(word) for word in command]
    environ = {**os.environ, "PATH": PATH}
    try:
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, input=stdin, env=environ)
    except FileNotFoundError:
        print(f"FAILED {title}\n{words[0]} is not here; make setup installs it", flush=True)
        return False
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {title}", flush=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode == 0


def commands(root: Path) -> list[tuple[str, list[str | Path]]]:
    """Each linter's name and command line."""
    yaml_files = [*workflows(root), *action_files(root)]
    schema: list[str | Path] = ["check-jsonschema", "--quiet", "--builtin-schema"]
    zizmor: list[str | Path] = ["zizmor", "--offline", "--quiet", "--persona", "pedantic", "--no-progress"]
    found: list[tuple[str, list[str | Path]]] = [
        ("zizmor, pedantic", [*zizmor, *yaml_files]),
        ("schema of workflows", [*schema, "vendor.github-workflows", *workflows(root)]),
        ("schema of actions", [*schema, "vendor.github-actions", *action_files(root)]),
        ("schema of dependabot.yml", [*schema, "vendor.dependabot", *tracked(root, "*dependabot.yml")]),
        ("schema of issue forms", [*schema, "vendor.github-issue-forms", *issue_forms(root)]),
        ("shellcheck", ["shellcheck", *shell_scripts(root)]),
        ("own rules for workflows and actions", [sys.executable, "-m", "tools.lint_workflows"]),
    ]
    if not shutil.which("actionlint", path=PATH):
        print("not here: actionlint (tests/tools/install brings it)")
    if (ROOT / PARSER).is_file():
        found.append(("GitHub's own parser of workflows", ["node", ROOT / PARSER, *workflows(root)]))
    else:
        print("not here: GitHub's own parser of workflows (tests/tools/install brings it)")
    return found


def actionlint_is_content(root: Path) -> bool:
    """Whether actionlint finds nothing; the template's workflows are put where they will lie, beside their actions."""
    command = ["actionlint", "-shellcheck", "shellcheck"]
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch, "project")
        shutil.copytree(root / PROJECT_FOLDER / ".github", project / ".github")
        shutil.copytree(root / "actions", project / ".github" / "actions")
        # It takes the nearest folder with a repository in it for the root of `uses: ./...`.
        (project / ".git").mkdir()
        own = sorted((root / ".github" / "workflows").glob("*.yml"))
        theirs = sorted((project / ".github" / "workflows").glob("*.yml"))
        results = [run("actionlint", [*command, *own], root) if own else True]
        results.append(run("actionlint, in a project", [*command, *theirs], project))
    return all(results)


def dockerfile_is_sound(text: str) -> bool:
    return run("hadolint", ["hadolint", "--no-color", "-"], ROOT, PLACEHOLDER.sub("x", text))


def main() -> int:
    results = [run(title, command, ROOT) for title, command in commands(ROOT)]
    if shutil.which("actionlint", path=PATH):
        results.append(actionlint_is_content(ROOT))
    for path in tracked(ROOT, "*Dockerfile"):
        results.append(dockerfile_is_sound(path.read_text(encoding="utf-8")))
    for title, long in (
        ("length of files", too_long(ROOT)),
        ("length of functions", too_long_functions(ROOT)),
    ):
        print("\n".join([f"FAILED {title}", *long] if long else [f"ok     {title}"]))
        results.append(not long)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
