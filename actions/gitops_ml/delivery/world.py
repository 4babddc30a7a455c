"""What the decisions look at: desired state from main, facts from deploy-state, and the time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.pipeline import Pipeline, Step
from gitops_ml.delivery.release import Artifacts, Manifest
from gitops_ml.delivery.revoked import Revoked


@dataclass(frozen=True)
class Desired:
    """What main says one environment should run.

    `generation` counts the changes of its file on main, `fence` all commits of main. `history` is what the file said
    at each generation of a promoted environment, oldest first, the present one last.
    """

    environment: str
    release: str | None
    generation: int
    fence: int
    artifacts: Artifacts | None = None
    history: tuple[str | None, ...] = ()
    pinned: bool = False


@dataclass(frozen=True)
class Review:
    """Who wanted a change and who approved it. A bot that opened it names the person in `requested_by`."""

    author: str
    approvers: frozenset[str] = frozenset()
    requested_by: str | None = None

    @property
    def others(self) -> frozenset[str]:
        """The approvers who did not ask for the change themselves."""
        return self.approvers - {self.author, self.requested_by or self.author}


@dataclass(frozen=True)
class World:
    """One moment, complete: from equal worlds every decision is equal."""

    pipeline: Pipeline
    revoked: Revoked
    facts: Facts
    now: dt.datetime
    desired: Mapping[str, Desired] = field(default_factory=dict)

    def step(self, environment: str) -> Step:
        return self.pipeline.step(environment)

    def manifest(self, release: str | None) -> Manifest | None:
        return None if release is None else self.facts.releases.get(release)

    def sequence(self, release: str | None) -> int:
        """The place of `release` on main; 0 when it is not known, so that it is newer than nothing."""
        found = self.manifest(release)
        return 0 if found is None else found.sequence


def followed(build_keys: Iterable[str], facts: Facts, revoked: Revoked) -> str | None:
    """The release that an environment following main should run.

    `build_keys` are those of main's first-parent commits, newest first. The first of them that was built and is not
    revoked decides: a commit that is still being built leaves what is there.
    """
    for key in build_keys:
        found = facts.of_build(key)
        if found is not None and revoked.reason(found.release) is None:
            return found.release
    return None
