"""`python -m tools.lint_workflows [FILE...]`: rules for workflows and actions that no other linter here knows."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.template_files import PROJECT_FOLDER, ROOT

GATE = "gate"
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_VERSION = re.compile(r"#\s*v\d+\.\d+\.\d+\b")
_USES = re.compile(r"^\s*(?:-\s+)?uses:\s*(?P<target>\S+)(?P<rest>.*)$")
_GRANT = re.compile(r"^\s+(?P<scope>[a-z-]+):\s*(?:read|write)\b(?P<rest>.*)$")
_PYTHON = re.compile(
    r"\bpython[\d.]*\s[^\n|;&]*(?<!\S)-c\b|\bpython[\d.]*\s*(?:-\s*)?<<|^#!.*python", re.MULTILINE
)
_FETCHED = re.compile(
    r"\b(?:curl|wget)\b[^\n]*\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b|\b(?:ba)?sh\b[^\n]*<\(\s*(?:curl|wget)\b"
)
_INSTALLS = (
    (re.compile(r"\bpip[\d.]*\s+install\b"), re.compile(r"--require-hashes")),
    (re.compile(r"\buv\s+pip\s+install\b"), re.compile(r"--require-hashes")),
    (re.compile(r"\buv\s+sync\b"), re.compile(r"--(?:locked|frozen)\b")),
    (re.compile(r"\b(?:uvx|uv\s+tool\s+(?:run|install)|pipx)\b"), None),
    (re.compile(r"\bnpx\b|\bnpm\s+(?:install|i)\b"), None),
    (re.compile(r"\bgo\s+(?:install|run)\s+\S+@(?:latest|master|main)\b"), None),
)


@dataclass(frozen=True)
class Problem:
    """One broken rule; `place` is a job, a step or a line."""

    path: Path
    place: str
    text: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}: {self.place}: {self.text}"


@dataclass(frozen=True)
class Step:
    """A step and where it is: `jobs.<id>.steps[n]` or `runs.steps[n]`."""

    place: str
    value: dict[str, Any]

    @property
    def script(self) -> str:
        """What the shell runs, with lines that go on joined; empty for a step that calls an action."""
        return str(self.value.get("run") or "").replace("\\\n", " ")


@dataclass(frozen=True)
class Document:
    """A workflow or an action, parsed and as text."""

    path: Path
    text: str
    value: dict[Any, Any]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return self.value.get("jobs") or {}

    @property
    def is_workflow(self) -> bool:
        return "jobs" in self.value

    def steps(self) -> Iterator[Step]:
        for name, job in self.jobs.items():
            for index, step in enumerate(job.get("steps") or ()):
                yield Step(f"jobs.{name}.steps[{index}]", step)
        for index, step in enumerate((self.value.get("runs") or {}).get("steps") or ()):
            yield Step(f"runs.steps[{index}]", step)


Found = Iterator[tuple[str, str]]


def expressions_in_scripts(document: Document) -> Found:
    for step in document.steps():
        if "${{" in step.script:
            yield step.place, "an expression inside `run:` is a way into the shell; pass it through `env:`"
        with_ = step.value.get("with") or {}
        if "${{" in str(with_.get("script", "")):
            yield (
                step.place,
                "an expression inside `script:` is a way into the program; pass it through `env:`",
            )


def unpinned_uses(document: Document) -> Found:
    for number, line in enumerate(document.text.splitlines(), start=1):
        found = _USES.match(line)
        if found is None or found["target"].startswith("./"):
            continue
        if not _PINNED.fullmatch(found["target"]):
            yield f"line {number}", f"{found['target']} is not pinned to a commit's 40 digits"
        elif not _VERSION.search(found["rest"]):
            yield f"line {number}", "the pinned commit needs its version beside it: # vX.Y.Z"


def missing_timeouts(document: Document) -> Found:
    for name, job in document.jobs.items():
        # A job that calls a workflow has its limits there, and may not have one here.
        if "timeout-minutes" not in job and "uses" not in job:
            yield f"jobs.{name}", "has no timeout-minutes"


def permissions(document: Document) -> Found:
    if not document.is_workflow:
        return
    if document.value.get("permissions") != {}:
        yield "top", "needs `permissions: {}`, with grants per job"
    for name, job in document.jobs.items():
        if not isinstance(job.get("permissions"), dict):
            yield f"jobs.{name}", "has no permissions of its own"
    inside = -1
    for number, line in enumerate(document.text.splitlines(), start=1):
        indent = len(line) - len(line.lstrip())
        if inside >= 0 and line.strip() and indent <= inside:
            inside = -1
        if re.match(r"^\s*permissions:\s*$", line):
            inside = indent
        elif inside >= 0 and (grant := _GRANT.match(line)) and not re.search(r"#\s*\S", grant["rest"]):
            yield f"line {number}", f"the permission {grant['scope']} needs its reason beside it"


def python_in_scripts(document: Document) -> Found:
    for step in document.steps():
        if _PYTHON.search(step.script) or str(step.value.get("shell", "")).startswith("python"):
            yield step.place, "holds Python in a YAML string; make it a file"


def installs_without_lock(document: Document) -> Found:
    for step in document.steps():
        for line in step.script.splitlines():
            for pattern, excuse in _INSTALLS:
                if pattern.search(line) and not (excuse and excuse.search(line)):
                    yield step.place, f"installs without a lock: {line.strip()}"
                    break


def fetched_scripts(document: Document) -> Found:
    for step in document.steps():
        if _FETCHED.search(step.script):
            yield step.place, "runs what it fetches; pin and check it first"


def gate_without_job(document: Document) -> Found:
    if GATE not in document.jobs:
        return
    needs = document.jobs[GATE].get("needs") or []
    listed = {needs} if isinstance(needs, str) else set(needs)
    for name in document.jobs:
        if name != GATE and name not in listed:
            yield f"jobs.{GATE}", f"does not need {name}, so that job can fail unseen"
    if "always()" not in str(document.jobs[GATE].get("if", "")):
        yield f"jobs.{GATE}", "needs `if: always()`: GitHub counts a skipped check as passed"


def unsafe_triggers(document: Document) -> Found:
    # YAML 1.1 reads the key `on` as true.
    triggers = document.value.get("on", document.value.get(True)) or {}
    if "pull_request_target" in triggers:
        yield "on", "pull_request_target gives a stranger's code a token that may write"
    if "workflow_run" in triggers and re.search(r"actions/cache|enable-cache:\s*true", document.text):
        yield "on", "a cache that a pull request can write is restored with a token that may write"
    for step in document.steps():
        ref = str((step.value.get("with") or {}).get("ref", ""))
        if "workflow_run" in triggers and re.search(r"head_(?:sha|branch|commit)|pull_requests", ref):
            yield step.place, "checks out the pull request beside a token that may write"


def kept_credentials(document: Document) -> Found:
    for step in document.steps():
        uses = str(step.value.get("uses", ""))
        kept = (step.value.get("with") or {}).get("persist-credentials")
        if uses.startswith("actions/checkout@") and kept is not False:
            yield step.place, "leaves its token in the checkout; set persist-credentials: false"


def inputs_of_actions(document: Document) -> Found:
    if document.is_workflow:
        return
    for kind in ("inputs", "outputs"):
        for name, item in (document.value.get(kind) or {}).items():
            description = str(item.get("description", ""))
            if not re.fullmatch(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", name):
                yield f"{kind}.{name}", "is not kebab-case"
            if not description.strip():
                yield f"{kind}.{name}", "has no description"
            elif kind == "inputs" and not item.get("required") and "default" not in description.lower():
                yield f"{kind}.{name}", "its description does not say the default"
    for step in document.steps():
        if "run" in step.value and "shell" not in step.value:
            yield step.place, "has no shell"


RULES: tuple[Callable[[Document], Found], ...] = (
    expressions_in_scripts,
    unpinned_uses,
    missing_timeouts,
    permissions,
    python_in_scripts,
    installs_without_lock,
    fetched_scripts,
    gate_without_job,
    unsafe_triggers,
    kept_credentials,
    inputs_of_actions,
)


def check(path: Path) -> list[Problem]:
    """Every broken rule in one file."""
    text = path.read_text(encoding="utf-8")
    document = Document(path, text, yaml.safe_load(text))
    return [Problem(path, place, said) for rule in RULES for place, said in rule(document)]


def documents(root: Path = ROOT) -> list[Path]:
    """Every workflow and action of this repository and of the template."""
    patterns = (
        "actions/*/action.yml",
        ".github/workflows/*.yml",
        f"{PROJECT_FOLDER}/.github/workflows/*.yml",
    )
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def main(names: Sequence[str]) -> int:
    paths = [Path(name) for name in names] or documents()
    problems = [problem for path in paths for problem in check(path)]
    print("\n".join(map(str, problems)), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
