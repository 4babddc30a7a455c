"""`environments/pipeline.yaml`: the order of environments, and what a release has to show before each of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from gitops_ml.delivery.duration import Duration
from gitops_ml.delivery.targets.settings import RegistryTarget, TargetSettings
from gitops_ml.delivery.timetable import Freeze, Window
from gitops_ml.delivery.typed import CheckName, EnvironmentName, Strict, fingerprint
from gitops_ml.errors import UserError
from gitops_ml.reading import read_typed, tupled
from gitops_ml.strict_yaml import Document, Place

Repository = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)+$", max_length=255)
]
RESERVED = ("pipeline", "revoked")


class NotNamedError(UserError):
    """`environments/pipeline.yaml` has no environment of that name, so nothing could be in trouble there."""


class Step(Strict):
    """One environment and the gates in front of it.

    A step `follow`s main or takes what a merge promotes. `evidence` are the checks that a release must have passed in
    every earlier environment; `soak` is how long it must have served there without a break. `target` says where it
    runs; it is no gate, so evidence survives a move.
    """

    name: EnvironmentName
    follow: bool = False
    evidence: Annotated[tuple[CheckName, ...], tupled, Field(max_length=20)] = ("version",)
    max_age: Duration | None = None
    soak: Duration = dt.timedelta()
    windows: Annotated[tuple[Window, ...], tupled, Field(max_length=20)] = ()
    freeze: Annotated[tuple[Freeze, ...], tupled, Field(max_length=50)] = ()
    four_eyes: bool = False
    target: TargetSettings = RegistryTarget()


class Pipeline(Strict):
    """The content of `pipeline.yaml`; `environments` are in order, the first one gets a release first."""

    schema_version: Literal[1] = Field(alias="schema")
    environments: Annotated[tuple[Step, ...], tupled, Field(min_length=1, max_length=20)]
    # The only repository that images come from, without a tag; None where nothing is deployed by a run.
    image: Repository | None = None
    # Whose evidence counts: workflow file and branch, as in GITHUB_WORKFLOW_REF without owner and repository.
    trusted_workflows: Annotated[tuple[str, ...], tupled, Field(min_length=1, max_length=10)] = (
        ".github/workflows/deliver.yml@refs/heads/main",
    )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.environments)

    def step(self, name: str) -> Step:
        """The step called `name`; raises `NotNamedError`, which names those there are."""
        for step in self.environments:
            if step.name == name:
                return step
        raise NotNamedError(
            f"{name[:40]!r} is no environment of environments/pipeline.yaml.",
            f"These are: {', '.join(self.names)}.",
        )

    def earlier(self, name: str) -> tuple[Step, ...]:
        """The steps before `name`, in order."""
        return self.environments[: self.names.index(name)]

    def required(self, name: str) -> tuple[str, ...]:
        """The checks that any later step asks of `name`, sorted; the last environment still proves its version."""
        later = self.environments[self.names.index(name) + 1 :]
        return tuple(sorted({"version"}.union(*(step.evidence for step in later))))

    def own_proof(self, name: str) -> Step:
        """What `name` has to show of itself at any time, so that no later step finds it missing or too old."""
        later = self.environments[self.names.index(name) + 1 :]
        ages = [step.max_age for step in later if step.max_age is not None]
        return Step(name=name, evidence=self.required(name), max_age=min(ages, default=None))

    def policy(self, name: str) -> str:
        """The hash of what `name` has to prove; evidence gathered under another policy does not count."""
        return _policy(name, self.required(name))


@cache
def _policy(name: str, checks: tuple[str, ...]) -> str:
    return fingerprint({"environment": name, "checks": checks})


def read_pipeline(document: Document) -> Pipeline:
    """Check `document`; raises `UserError` that names file, line and key."""
    found = read_typed(document, Pipeline)
    for place, problem, fix in _impossible(found):
        raise document.error(place, problem, fix)
    return found


def _impossible(pipeline: Pipeline) -> Iterator[tuple[Place, str, str]]:
    """What no delivery could follow, as (place, problem, fix)."""
    for index, step in enumerate(pipeline.environments):
        place: Place = ("environments", index)
        if step.name in RESERVED:
            yield (*place, "name"), f"{step.name}.yaml is not an environment.", "Choose another name."
        if step.name in pipeline.names[:index]:
            yield (*place, "name"), f"{step.name} stands twice.", "An environment has one place in the order."
        if index == 0:
            yield from _first(step, place)
        else:
            yield from _later(step, pipeline.environments[index - 1], place)
        if step.four_eyes and step.follow:
            problem = f"{step.name} follows main, so no pull request of its own is approved."
            yield (*place, "four_eyes"), problem, "Ask for approvals on main."
        yield from _never_open(step, place)


def _first(step: Step, place: Place) -> Iterator[tuple[Place, str, str]]:
    if not step.follow:
        problem = f"{step.name} is first, so nothing before it could be promoted to it."
        fix = "Write `follow: true`, or put an environment that follows main before it."
        yield (*place, "follow"), problem, fix
    for key in ("soak", "evidence", "max_age"):
        if key in step.model_fields_set:
            fix = "Take the line out, or put the environment that proves releases before it."
            yield (*place, key), "nothing comes before the first environment that could show it.", fix


def _later(step: Step, before: Step, place: Place) -> Iterator[tuple[Place, str, str]]:
    if step.follow and not before.follow:
        problem = f"{step.name} cannot follow main after {before.name}, which waits for a promotion."
        yield (*place, "follow"), problem, f"Move {step.name} before {before.name}, or take the line out."
    if not step.evidence:
        problem = "with no check at all, nothing has to be proven before this environment."
        yield (*place, "evidence"), problem, "Name at least version."


def _never_open(step: Step, place: Place) -> Iterator[tuple[Place, str, str]]:
    for index, window in enumerate(step.windows):
        if window.end <= window.start:
            yield (
                (*place, "windows", index, "to"),
                f"{window.end:%H:%M} is not after {window.start:%H:%M}.",
                "A window ends on the day it starts; write two windows to pass midnight.",
            )
    for index, freeze in enumerate(step.freeze):
        if freeze.last < freeze.first:
            yield (*place, "freeze", index, "to"), "the last day is before the first.", "Swap them."
