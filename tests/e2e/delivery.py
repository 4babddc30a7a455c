"""A repository that delivers: its merges are real, its workflows run under act, its releases on a real engine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.records import load_facts

from tests.delivery.docker_machine import Machine
from tests.e2e.act import ActRun
from tests.e2e.loop import REPOSITORY, Loop, jobs_before, repository
from tests.fakes.state import Pull, Run

ENVIRONMENTS = ("staging", "production")
# What a runner says of a run on main; act knows no repository but the folder that it was given.
ON_MAIN = {
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.com",
}


@dataclass
class Delivery(Loop):
    """`places` are the machines that the environments run on, by environment."""

    places: Mapping[str, Machine] = field(default_factory=dict)

    def propose(self, branch: str, title: str) -> Pull:
        """Push HEAD as `branch` and open a pull request for it."""
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.pull(self.forge.open_pull(branch, title))

    def pull(self, number: int) -> Pull:
        found = self.forge.state.pull(number)
        assert found is not None
        return found

    def pull_to(self, environment: str) -> Pull:
        """The one open pull request that moves `environment`."""
        path = f"environments/{environment}.yaml"
        open_ = [pull for pull in self.forge.state.pulls if pull.state == "open"]
        self.git("fetch", "--quiet", "origin", *(pull.sha for pull in open_))
        (found,) = (pull for pull in open_ if path in self.git("diff", "--name-only", self.main, pull.sha))
        return found

    def merge(self, pull: Pull) -> str:
        """Press the merge button; returns the commit of main."""
        self.main = self.forge.merge(pull.number)
        self.git("fetch", "--quiet", "origin", "main")
        return self.main

    def merge_new(self, title: str) -> str:
        """Bring HEAD to main by a pull request for which nothing was run."""
        branch = re.sub(r"[^a-z]+", "-", title.lower())
        return self.merge(self.propose(branch, title))

    def deliver(
        self,
        commit: str | None = None,
        kill_when: Callable[[], bool] | None = None,
        before: str | None = None,
    ) -> ActRun:
        """Run deliver.yml, or its jobs `before` one, for a push of `commit`, by default the newest of main."""
        payload = {
            "ref": "refs/heads/main",
            "after": commit or self.main,
            "repository": {**repository(), "visibility": "public"},
        }
        return self._run("deliver.yml", "push", payload, commit or self.main, kill_when, before)

    def roll_back(self, environment: str, reason: str) -> ActRun:
        """Start rollback.yml by hand."""
        inputs = {"environment": environment, "to": "", "reason": reason}
        payload = {"ref": "refs/heads/main", "inputs": inputs, "repository": repository()}
        return self._run("rollback.yml", "workflow_dispatch", payload, self.main)

    def _run(
        self,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        commit: str,
        kill_when: Callable[[], bool] | None = None,
        before: str | None = None,
    ) -> ActRun:
        number = self.next_run()
        self.start(commit)
        if before is not None:
            path = self.checkout / ".github" / "workflows" / workflow
            path.write_text(jobs_before(path.read_text(encoding="utf-8"), before), encoding="utf-8")
        environ = {
            **ON_MAIN,
            "GITHUB_API_URL": self.forge.api_url,
            "GITHUB_WORKFLOW_REF": f"{REPOSITORY}/.github/workflows/{workflow}@refs/heads/main",
        }
        self.forge.state.runs.append(
            Run(number, number, REPOSITORY, "main", commit, event=event, path=f".github/workflows/{workflow}")
        )
        done = self.act.run(self.checkout, workflow, event, payload, number, environ, kill_when)
        assert self.forge.violations == []
        return done

    def facts(self) -> Facts:
        """What is recorded on deploy-state."""
        git = Git(self.origin)
        return load_facts(git, git.resolve("refs/heads/deploy-state"))

    def version(self, environment: str) -> dict[str, Any]:
        """What the service of `environment` says that it is."""
        found: dict[str, Any] = self.places[environment].answer()
        return found

    def wanted(self, environment: str) -> str:
        """The release in the file of `environment` on main."""
        text = self.git("show", f"{self.main}:environments/{environment}.yaml")
        found = re.search(r"^release: (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return found[1]

    def being_deployed(self, environment: str) -> Callable[[], bool]:
        """Whether a deployment was begun after this moment and has not ended: asked again and again."""
        before = len(self.facts().history(environment))

        def begun() -> bool:
            history = self.facts().history(environment)
            return len(history) > before and history[-1].outcome is None

        return begun


@dataclass
class Clock:
    """Seconds of pipeline time by what was done, for the log of the test."""

    taken: dict[str, float] = field(default_factory=dict)

    def time(self, what: str, action: Callable[[], ActRun]) -> ActRun:
        started = time.monotonic()
        done = action()
        self.taken[what] = round(time.monotonic() - started, 1)
        print(json.dumps({"pipeline seconds": self.taken}))
        return done
