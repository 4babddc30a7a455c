"""Finish a freshly rendered project: actions, lock file, first commit; then say what to do next.

The working directory is the new project. Nothing here may lose what was rendered: a missing network or git identity
is a warning with the command to run later, never a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(<< cookiecutter._repo_dir | tojson >>)
ACTIONS_SOURCE = << cookiecutter.actions_source | tojson >>
ACTIONS_REPOSITORY = << cookiecutter.actions_repository | tojson >>
ACTIONS_REF = << cookiecutter.actions_ref | tojson >>
SLUG = << cookiecutter.project_slug | tojson >>
DEPLOY_TARGET = << cookiecutter.deploy_target | tojson >>
NAME = << cookiecutter._template | tojson >>
CONTEXT = json.loads(<< cookiecutter | tojson | tojson >>)

SKIP_LOCK = "GITOPS_ML_SKIP_LOCK"
VENDORED = Path(".github", "actions")
LOCAL_USES = re.compile(r"uses: \./\.github/actions/([a-z-]+)")
MANIFESTS = Path("deploy", "kubernetes")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache", "*.egg-info", "build")


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def vendor_actions(project: Path, template: Path) -> None:
    """Copy the actions and their package, so that workflows need nothing but this repository."""
    shutil.copytree(template / "actions", project / VENDORED, ignore=LEFT_BEHIND)


def use_remote_actions(project: Path, repository: str, ref: str) -> None:
    """Let the workflows take the actions from `repository` at `ref`."""
    for workflow in sorted((project / ".github" / "workflows").glob("*.yml")):
        text = workflow.read_text(encoding="utf-8")
        remote = LOCAL_USES.sub(lambda match: f"uses: {repository}/actions/{match[1]}@{ref}", text)
        workflow.write_text(remote, encoding="utf-8")


def leave_out_other_targets(project: Path, target: str) -> None:
    """Remove the manifests where no cluster runs them; `deploy/compose.yaml` also serves on a laptop, so it stays."""
    if target not in ("kubernetes", "gitops-pull"):
        shutil.rmtree(project / MANIFESTS)


def record_origin(project: Path, template: Path, name: str, context: dict[str, object]) -> None:
    """Write down what this project was made from, so that `make template-update` can follow the template."""
    address = git(template, "config", "--get", "remote.origin.url").stdout.strip()
    commit = git(template, "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip()
    own = git(template, "rev-parse", "--show-prefix")
    if own.returncode != 0 or own.stdout.strip():
        # A plain folder, perhaps inside some other repository, whose commits say nothing about the template.
        address = commit = ""
    answers = {question: answer for question, answer in context.items() if not question.startswith("_")}
    record = {"template": address or name, "commit": commit, "answers": answers}
    (project / ".cookiecutter.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def lock(project: Path) -> str:
    """Write `uv.lock`; returns the command to run later when that cannot be done now."""
    if os.environ.get(SKIP_LOCK) == "1":
        return ""
    print("Locking the dependencies with uv ...", flush=True)
    done = subprocess.run(["uv", "lock", "--quiet"], cwd=project, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or ["uv said nothing"])[-1].strip()
    warn(f"the dependencies could not be locked ({last}); step 1 does it when there is a network.")
    return "uv lock && git add uv.lock && git commit -m 'Lock the dependencies'"


def git(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Variables such as GIT_DIR, set when a git hook runs us, would point at another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
    for name in ("GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environ.pop(name, None)
    return subprocess.run(["git", *words], cwd=project, capture_output=True, text=True, env=environ)


def first_commit(project: Path) -> str:
    """Commit everything on `main`; where that is not ours to do, warn and return the command to run later."""
    if git(project, "rev-parse", "--is-inside-work-tree").stdout.strip() == "true":
        warn("this folder is inside another git repository, so no repository was made. Commit it there.")
        return ""
    command = "git add --all && git commit -m 'Start from the template'"
    if git(project, "init", "--quiet", "--initial-branch", "main").returncode != 0:
        warn("git could not make a repository here.")
        return f"git init --initial-branch main && {command}"
    if git(project, "var", "GIT_AUTHOR_IDENT").returncode != 0 or not has_identity(project):
        warn("git does not know who you are, so nothing was committed; step 1 says it.")
        identity = "git config --global user.name 'Your Name' && git config --global user.email you@example.org"
        return f"{identity} && {command}"
    for words in (("add", "--all"), ("commit", "--quiet", "--no-verify", "--message", "Start from the template")):
        done = git(project, *words)
        if done.returncode != 0:
            warn(f"git {words[0]} failed: {done.stderr.strip()}")
            return command
    return ""


def has_identity(project: Path) -> bool:
    """Whether name and email were given; git would otherwise make them up from the machine's name."""
    given = os.environ.get("GIT_AUTHOR_NAME") and os.environ.get("GIT_AUTHOR_EMAIL")
    asked = all(git(project, "config", key).stdout.strip() for key in ("user.name", "user.email"))
    return bool(given) or asked


def main() -> None:
    project = Path.cwd()
    leave_out_other_targets(project, DEPLOY_TARGET)
    if ACTIONS_SOURCE == "vendored":
        vendor_actions(project, TEMPLATE)
    else:
        use_remote_actions(project, ACTIONS_REPOSITORY, ACTIONS_REF)
    record_origin(project, TEMPLATE, NAME, CONTEXT)
    not_locked, not_committed = lock(project), first_commit(project)
    # The first commit takes the lock with it.
    pending = f"uv lock && {not_committed}" if not_locked and not_committed else not_locked or not_committed
    steps = [*([pending] if pending else []), "make setup", "make train test"]
    steps = [f"cd {SLUG} && {steps[0]}", *steps[1:], "push it to GitHub and open a pull request"]
    print("\nNext:\n" + "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1)))


if __name__ == "__main__":
    main()
