"""A cluster that pulls: manifests go to a branch, Argo CD or Flux applies them, and the service says what serves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gitops_ml.delivery.checkout import open_repository
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.manifests import Object, name_release
from gitops_ml.delivery.overlay import read_overlay
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.proof import prove, ready_problem, version_problem
from gitops_ml.delivery.release import short
from gitops_ml.delivery.targets.base import Order, Service
from gitops_ml.delivery.targets.manifest_branch import ManifestBranch, Wanted
from gitops_ml.delivery.targets.said import said_version
from gitops_ml.delivery.targets.settings import GitopsPullTarget
from gitops_ml.delivery.web import WebService
from gitops_ml.errors import UserError

LOOK_S = 5.0
# The service has to say the same this often in a row: while pods are replaced, old and new ones answer in turns.
STEADY = 3


@dataclass
class GitopsPull:
    """The environment that `settings` names. `clock` and `pause` are replaced in tests."""

    settings: GitopsPullTarget
    environment: str
    pipeline: Pipeline
    repository: Path
    environ: Mapping[str, str] = field(repr=False)
    facts: Facts = field(default_factory=Facts, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def live(self) -> Live:
        branch = self._branch(self._git())
        wanted = branch.wanted(branch.tip())
        service = self._service()
        release, digest = said_version(service)
        well = release is not None and (release, digest) == (wanted.release, wanted.digest)
        return Live(
            release=release,
            digest=digest,
            healthy=well and not ready_problem(service),
            fence=wanted.fence,
        )

    def apply(self, order: Order) -> str:
        git = self._git()
        branch = self._branch(git)
        release, digest = order.release.release, order.release.artifacts.digest
        wanted = Wanted(self.environment, release, digest, order.fence)
        files = self._files(git, order)
        before = branch.write(wanted, files)
        problem = self._await(order)
        if not problem:
            return ""
        reason = f"{short(release)} did not serve within {self.settings.timeout}: {problem}"
        mine = branch.wanted(branch.tip()).commit
        if before.commit is None or before.release in (None, release):
            before = self._earlier(branch, mine, release)
        if before.commit is None:
            return f"{reason}; nothing was on {self.settings.branch} before it"
        back = Wanted(self.environment, before.release, before.digest, order.fence)
        branch.write(back, branch.files(before.commit), only_after=mine)
        return f"{reason}; {self.settings.branch} says {short(before.release)} again"

    def prove(self, order: Order) -> Mapping[str, bool]:
        return prove(self._service(), order)

    def _git(self) -> Git:
        return open_repository(self.repository, self.environ)

    def _branch(self, git: Git) -> ManifestBranch:
        return ManifestBranch(git, self.settings.branch, self.environment, pause=self.pause)

    def _service(self) -> Service:
        return WebService(self.settings.url.rstrip("/"))

    def _files(self, git: Git, order: Order) -> dict[str, bytes]:
        """The manifests of the release, one file per object, so that a difference reads well."""
        manifests = read_overlay(git, self.pipeline, self.settings.overlay, self.environ)
        files: dict[str, bytes] = {}
        for one in name_release(manifests, order).objects:
            name = _file_name(one)
            if name in files:
                raise UserError(
                    f"{self.settings.overlay}: two objects would be written to {name}.", "Rename one."
                )
            files[name] = _text(one)
        return files

    def _await(self, order: Order) -> str:
        """Wait until the service says steadily that it is the release, and is ready; returns why it did not."""
        service = self._service()
        deadline = self.clock() + self.settings.timeout.total_seconds()
        steady = 0
        while True:
            problem = version_problem(service, order) or ready_problem(service)
            steady = 0 if problem else steady + 1
            if steady == STEADY:
                return ""
            if self.clock() >= deadline:
                return problem or "it did not say so steadily"
            self.pause(LOOK_S if problem else LOOK_S / 5)

    @staticmethod
    def _earlier(branch: ManifestBranch, commit: str | None, release: str) -> Wanted:
        """What the branch said before `release`: a run that died may have left nobody who remembers it."""
        found = branch.wanted(commit)
        while found.commit is not None and found.release in (None, release):
            parents = branch.git.run(
                "rev-list", "--first-parent", "--max-count=2", found.commit, "--"
            ).text.split()
            if len(parents) < 2:
                return Wanted(branch.environment)
            found = branch.wanted(parents[1])
        return found


def _file_name(one: Object) -> str:
    name = re.sub(r"[^a-z0-9.-]", "-", str(one["metadata"]["name"]).lower())
    return f"{str(one['kind']).lower()}-{name}.yaml"


def _text(one: Object) -> bytes:
    return bytes(yaml.safe_dump(one, sort_keys=False, encoding="utf-8", width=1000))
