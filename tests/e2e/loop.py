"""A repository on a forge, and what people do with it: branches, pull requests, pushes, and the runs that follow."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.act import Act, ActRun, machine_environment
from tests.fakes.forge import Forge
from tests.fakes.state import Pull, Run

REPOSITORY = "octo/model"
FORK = "stranger/model"
IDENTITY = {
    name: value
    for who in ("AUTHOR", "COMMITTER")
    for name, value in ((f"GIT_{who}_NAME", "Ada"), (f"GIT_{who}_EMAIL", "ada@localhost"))
}


@dataclass
class Loop:
    """One repository; `checkout` is a person's clone of it, `main` the commit that pull requests go to."""

    checkout: Path
    origin: Path
    act: Act
    forge: Forge
    main: str
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def git(self, *words: str) -> str:
        """Run git in the checkout; returns what it printed."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.checkout,
            env=machine_environment() | IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null", "FORGE_MERGES": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()

    def start(self, commit: str) -> None:
        """Check out `commit`, without what an earlier scenario left behind."""
        self.git("checkout", "--quiet", "--force", "--detach", commit)
        self.git("clean", "--quiet", "-ffdx")

    def edit(self, name: str, before: str, after: str) -> None:
        """Replace the one place in file `name` that reads `before`."""
        path = self.checkout / name
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name} holds {before!r} {text.count(before)} times"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def commit_nothing(self) -> str:
        """A commit of its own without a change."""
        self.git("commit", "--quiet", "--allow-empty", "--message", "Nothing")
        return self.git("rev-parse", "HEAD")

    def open(self, branch: str, *, title: str = "Change the model", repository: str = REPOSITORY) -> Pull:
        """Push HEAD as `branch` and open a pull request; a fork's commits lie under refs/pull, as on GitHub."""
        number = next(self._numbers)
        pull = Pull(number, repository, branch, self.git("rev-parse", "HEAD"), title=title)
        self.forge.state.pulls.append(pull)
        self._publish(pull)
        return pull

    def push(self, pull: Pull) -> None:
        """Push HEAD to the branch of `pull`."""
        pull.sha = self.git("rev-parse", "HEAD")
        self._publish(pull)

    def _publish(self, pull: Pull) -> None:
        pull.files = self.git("diff", "--name-only", f"{self.main}...HEAD").splitlines()
        self.git("push", "--quiet", "--force", str(self.origin), f"HEAD:refs/pull/{pull.number}/head")
        if pull.head_repo == REPOSITORY:
            self.git("push", "--quiet", "--force", str(self.origin), f"HEAD:refs/heads/{pull.ref}")

    def next_run(self) -> int:
        return 1000 + len(self.forge.state.runs)

    def train(self, pull: Pull, base: str | None = None, image: bool = True) -> tuple[ActRun, Run]:
        """Run pull-request.yml for what `pull` is now; what it leaves behind is then on the forge.

        `image` is false where nothing is asked about the image: it is not built then, which saves a minute in all.
        """
        run_id = 1000 + len(self.forge.state.runs)
        shown = pull.shown()
        shown["head"]["repo"]["fork"] = pull.head_repo != REPOSITORY
        shown["base"] = {"ref": "main", "sha": base or self.main, "repo": repository()}
        payload = {
            "action": "synchronize",
            "number": pull.number,
            "repository": repository(),
            "pull_request": shown,
        }
        self.start(pull.sha)
        workflow = self.checkout / ".github" / "workflows" / "pull-request.yml"
        if not image:
            workflow.write_text(without_image(workflow.read_text(encoding="utf-8")), encoding="utf-8")
        done = self.act.run(self.checkout, workflow.name, "pull_request", payload, run_id)
        conclusion = "success" if set(done.results.values()) <= {"success", "skipped"} else "failure"
        run = self.record(pull, "pull_request", conclusion)
        run.jobs = [(name, result) for name, result in done.results.items()]
        for name in ("gitops-ml-report", "model-head"):
            if (done.artifacts / name).is_dir():
                self.forge.state.artifact(run, zipped(done.artifacts / name), name)
        return done, run

    def record(self, pull: Pull, event: str, conclusion: str = "success") -> Run:
        """Note on the forge that a run for `pull` has ended."""
        run_id = 1000 + len(self.forge.state.runs)
        run = Run(run_id, run_id, pull.head_repo, pull.ref, pull.sha, event=event, conclusion=conclusion)
        self.forge.state.runs.append(run)
        return run

    def queue(self, commit: str) -> ActRun:
        """Run pull-request.yml for `commit` as a merge queue does before it merges."""
        run_id = 1000 + len(self.forge.state.runs)
        self.git(
            "push", "--quiet", "--force", str(self.origin), f"{commit}:refs/heads/gh-readonly-queue/main/pr-1"
        )
        group = {"head_sha": commit, "base_sha": self.main, "base_ref": "refs/heads/main"}
        payload = {"action": "checks_requested", "repository": repository(), "merge_group": group}
        self.start(commit)
        self.forge.state.runs.append(Run(run_id, run_id, REPOSITORY, "queue", commit, event="merge_group"))
        return self.act.run(self.checkout, "pull-request.yml", "merge_group", payload, run_id)

    def comment(self, run: Run) -> ActRun:
        """Run comment.yml of `main` for a run that has ended."""
        payload: dict[str, Any] = run.payload(REPOSITORY)
        payload["repository"] = repository()
        self.start(self.main)
        done = self.act.run(
            self.checkout,
            "comment.yml",
            "workflow_run",
            payload,
            run.id,
            {"GITHUB_API_URL": self.forge.api_url, "GITHUB_SERVER_URL": "https://github.com"},
        )
        assert self.forge.violations == []
        return done

    def comments(self, pull: Pull) -> list[str]:
        """Texts of the comments of `pull`, as they were sent."""
        return [each.body for each in self.forge.state.comments if each.pull == pull.number]


def repository() -> dict[str, Any]:
    owner, name = REPOSITORY.split("/")
    return {"full_name": REPOSITORY, "name": name, "owner": {"login": owner}, "default_branch": "main"}


def without_image(workflow: str) -> str:
    """The workflow without its job `image`. Only the runner reads it; the jobs check out what was pushed."""
    text, jobs = re.subn(r"^  image:\n(?:    .*\n|\n)+", "", workflow, flags=re.MULTILINE)
    text, needs = re.subn(r", image\b", "", text)
    text, inputs = re.subn(r"^          image: .*\n", "", text, flags=re.MULTILINE)
    assert (jobs, needs, inputs) == (1, 2, 1)
    return text


def jobs_before(workflow: str, job: str) -> str:
    """The workflow without `job` and all that come after it. Only the runner reads it, as above."""
    kept, mark, _ = workflow.partition(f"\n  {job}:\n")
    assert mark, f"no job {job}"
    return kept + "\n"


def zipped(folder: Path) -> bytes:
    """The folder's files as a zip, as the forge hands out an artifact."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()
